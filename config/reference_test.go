package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pushbridge/pushbridge/docs/docstest"
	"github.com/pushbridge/pushbridge/remotewrite"
)

// TestConfigReference holds docs/configuration.md to the structs that the file is read
// into, their comments and their defaults: `make docs` writes it.
func TestConfigReference(t *testing.T) {
	r := reference{comments: map[string]string{}}
	for _, dir := range []string{".", "../remotewrite"} {
		r.readComments(t, dir)
	}
	r.page.WriteString("# The configuration file\n\nMade from the code by `make docs`. `--config.file` names it, `pushbridge check-config FILE` says what is wrong with it, " +
		"`kill -HUP` reads it again.\nIt is YAML, and a whole `prometheus.yml` will do: what only Prometheus has a use for has no effect. A key that neither knows is an\n" +
		"error. Durations are written as `30s`, `1h30m` or `7d`. Names of files are relative to the folder of the file. Examples:\n" +
		"[remote-write.md](remote-write.md), [lifecycle.md](lifecycle.md).\n")
	r.describe("The file", "", reflect.TypeFor[fileSchema](), reflect.Value{})
	for key := range foreign {
		if !r.used[key] {
			t.Errorf("no field is described by %s", key)
		}
	}
	for _, key := range r.missing {
		t.Errorf("%s has neither a comment nor a description in this test", key)
	}
	docstest.Page(t, "../docs/configuration.md", r.page.String())
}

// reference is the page while it is made.
type reference struct {
	page     strings.Builder
	comments map[string]string // of fields, by package, type and field
	used     map[string]bool   // of foreign
	missing  []string
}

// readComments collects what stands above the fields of structs.
func (r *reference) readComments(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, name := range f.Names {
						r.comments[parsed.Name.Name+"."+spec.Name.Name+"."+name.Name] = strings.TrimSpace(f.Doc.Text())
					}
				}
			}
			return true
		})
	}
}

// describe writes a table of the keys of a struct, then one for each that has keys of its
// own.
func (r *reference) describe(title, path string, typ reflect.Type, defaults reflect.Value) {
	fmt.Fprintf(&r.page, "\n## %s\n\n| key | value | default | |\n|---|---|---|---|\n", title)
	var deeper []func()
	r.rows(path, typ, defaults, &deeper)
	for _, d := range deeper {
		d()
	}
}

func (r *reference) rows(path string, typ reflect.Type, defaults reflect.Value, deeper *[]func()) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || key == "-" || f.Tag.Get("yaml") == "" {
			continue
		}
		var value reflect.Value
		if defaults.IsValid() {
			value = defaults.Field(i)
		}
		inner, many := keysOf(f.Type)
		switch {
		case strings.Contains(options, "inline") && onlyPrometheus(inner):
			continue // has no effect
		case strings.Contains(options, "inline") && inner != nil:
			r.rows(path, inner, value, deeper)
			continue
		case strings.Contains(options, "inline"):
			key = "NAME"
		}
		kind := kindOf(f.Type)
		if inner != nil {
			place := strings.TrimPrefix(path+"."+key, ".") + many
			kind = "see [" + place + "](#" + anchor(place) + ")"
			*deeper = append(*deeper, func() { r.describe("`"+place+"`", place, inner, defaultsOf(inner, value)) })
		}
		fmt.Fprintf(&r.page, "| `%s` | %s | %s | %s |\n", key, kind, defaultOf(value), docstest.Cell(r.meaning(typ, f)))
	}
}

// meaning is the comment above a field, or what foreign says of one that is not ours.
func (r *reference) meaning(typ reflect.Type, f reflect.StructField) string {
	key := typ.String() + "." + f.Name
	if text := r.comments[key]; text != "" {
		return text
	}
	if r.used == nil {
		r.used = map[string]bool{}
	}
	r.used[key] = true
	if foreign[key] == "" {
		r.missing = append(r.missing, key)
	}
	return foreign[key]
}

// keysOf returns the struct whose keys a value has, unless the value is read as a whole;
// and [] for a list of them.
func keysOf(typ reflect.Type) (reflect.Type, string) {
	many := ""
	for {
		switch {
		case typ == reflect.TypeFor[sectionList]():
			return reflect.TypeFor[remotewrite.Config](), "[]"
		case typ.Kind() == reflect.Slice:
			many, typ = "[]", typ.Elem()
		case typ.Kind() == reflect.Pointer:
			typ = typ.Elem()
		case strings.HasPrefix(typ.Name(), "item["):
			typ = typ.Field(0).Type
		case typ.Kind() == reflect.Struct && !asText[typ.String()]:
			return typ, many
		default:
			return nil, ""
		}
	}
}

// asText are structs that are written as one value.
var asText = map[string]bool{"config.URL": true, "relabel.Regexp": true}

// onlyPrometheus tells keys that have no effect here.
func onlyPrometheus(typ reflect.Type) bool {
	return typ == reflect.TypeFor[prometheusKeys]() || typ == reflect.TypeFor[prometheusGlobal]()
}

func defaultsOf(typ reflect.Type, value reflect.Value) reflect.Value {
	if typ == reflect.TypeFor[remotewrite.Config]() {
		return reflect.ValueOf(remotewrite.DefaultConfig(nil))
	}
	if value.IsValid() && value.Kind() == reflect.Struct {
		return value
	}
	return reflect.Value{}
}

// defaultOf is empty where nothing is the default.
func defaultOf(v reflect.Value) string {
	if !v.IsValid() || v.Kind() == reflect.Struct || (v.IsZero() && v.Kind() != reflect.Bool) {
		return ""
	}
	return fmt.Sprintf("`%v`", v.Interface())
}

func kindOf(typ reflect.Type) string {
	if strings.HasPrefix(typ.Name(), "item[") {
		typ = typ.Field(0).Type
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch name := typ.Name(); {
	case name == "Duration" || name == "durationText":
		return "duration"
	case name == "URL":
		return "URL"
	case name == "Secret":
		return "secret"
	case name == "Regexp":
		return "regular expression"
	case typ.Kind() == reflect.Bool:
		return "true or false"
	case typ.Kind() == reflect.Map || name == "Headers":
		return "names and values"
	case typ.Kind() == reflect.Slice:
		return "list"
	case typ.Kind() == reflect.Int || typ.Kind() == reflect.Uint64:
		return "number"
	case typ.Kind() == reflect.Interface:
		return ""
	}
	return "text"
}

// anchor is the place that a heading has on a page.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(".[]", r) {
			return -1
		}
		return r
	}, heading)
}
