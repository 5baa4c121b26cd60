package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// pkg is what a folder of the module declares.
type pkg struct {
	path     string // of the folder, below the module
	lines    int
	exported int // names at the top of the package
	types    map[string]*typ
}

// typ is a type that is declared at the top of a package.
type typ struct {
	name    string // queue.Log
	methods map[string]bool
	fields  int
}

// load reads the packages of the module in dir, without those of modules within.
func load(dir string) ([]*pkg, error) {
	byPath := map[string]*pkg{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if file != dir && skipped(file) {
				return fs.SkipDir
			}
			return nil
		case filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		path, err := filepath.Rel(dir, filepath.Dir(file))
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		if byPath[path] == nil {
			byPath[path] = &pkg{path: path, types: map[string]*typ{}}
		}
		return byPath[path].add(file)
	})
	if err != nil {
		return nil, err
	}
	if len(byPath) == 0 {
		return nil, fmt.Errorf("no Go files in %s", dir)
	}
	return slices.SortedFunc(maps.Values(byPath), func(a, b *pkg) int { return strings.Compare(a.path, b.path) }), nil
}

// skipped tells folders that are not part of the module, as the go command does.
func skipped(dir string) bool {
	base := filepath.Base(dir)
	if base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func (p *pkg) add(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil {
		return err
	}
	if ast.IsGenerated(f) {
		return nil
	}
	p.lines += strings.Count(string(text), "\n")
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			p.function(d)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				p.spec(s)
			}
		}
	}
	return nil
}

func (p *pkg) function(d *ast.FuncDecl) {
	if d.Recv == nil {
		p.name(d.Name)
		return
	}
	// By name: files for different systems may each have the method.
	p.typ(receiver(d.Recv.List[0].Type)).methods[d.Name.Name] = true
}

// receiver is the name of a receiver's type: T of *T[K, V].
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.ParenExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}

func (p *pkg) spec(s ast.Spec) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			p.name(name)
		}
	case *ast.TypeSpec:
		p.name(s.Name)
		t := p.typ(s.Name.Name)
		switch u := s.Type.(type) {
		case *ast.StructType:
			t.fields = u.Fields.NumFields() // one that is embedded is one
		case *ast.InterfaceType:
			for _, m := range u.Methods.List {
				for _, name := range m.Names {
					t.methods[name.Name] = true
				}
			}
		}
	}
}

func (p *pkg) name(id *ast.Ident) {
	if id.IsExported() {
		p.exported++
	}
}

func (p *pkg) typ(name string) *typ {
	if p.types[name] == nil {
		p.types[name] = &typ{name: p.path + "." + name, methods: map[string]bool{}}
	}
	return p.types[name]
}

// typesOf returns all types, sorted by name.
func typesOf(packages []*pkg) []*typ {
	var all []*typ
	for _, p := range packages {
		all = slices.AppendSeq(all, maps.Values(p.types))
	}
	slices.SortFunc(all, func(a, b *typ) int { return strings.Compare(a.name, b.name) })
	return all
}
