package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
)

//go:embed ui
var uiFiles embed.FS

// assets are the templates of the pages, and the files that they load.
type assets struct {
	pages   map[string]*template.Template // by name
	static  fs.FS
	version string // of all static files: their address changes with it
}

// newAssets panics when the binary was built with broken files.
func newAssets() *assets {
	static, err := fs.Sub(uiFiles, "ui/static")
	if err != nil {
		panic("web: " + err.Error())
	}
	a := &assets{pages: map[string]*template.Template{}, static: static, version: hashFiles(static)}
	for _, p := range pages {
		a.pages[p.name] = template.Must(template.ParseFS(uiFiles, "ui/layout.html", "ui/parts.html", "ui/"+p.name+".html"))
	}
	return a
}

func hashFiles(files fs.FS) string {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(h, f)
		return err
	})
	if err != nil {
		panic("web: " + err.Error())
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// contentType does not depend on what the machine has in /etc/mime.types.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return ""
}

const staticPath = "/static/"

// Static serves the page's files. It belongs at any prefix that ends in
// /static/.
func (h *Handler) Static() http.Handler {
	files := http.FileServerFS(h.assets.static)
	return GetOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := below(r.URL.Path, staticPath)
		if !ok {
			http.NotFound(w, r)
			return
		}
		if t := contentType(name); t != "" {
			w.Header().Set("Content-Type", t)
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", `"`+h.assets.version+`"`)
		r = r.Clone(r.Context())
		r.URL.Path = "/" + name
		files.ServeHTTP(w, r)
	}))
}
