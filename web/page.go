package web

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// contentPolicy lets a page load its own files and talk to its own server, and nothing
// else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"

// page is one page: what stands in its frame. All pages lie beside each other, so that
// their links can be relative.
type page struct {
	name  string // of its template, and of its path but for the overview
	title string
	view  func(h *site, r *http.Request) (any, error)
}

// pages are all of them, those that the menu shows first.
var pages = []page{
	{"overview", "Overview", (*site).viewOverview},
	{"groups", "Groups", (*site).viewGroups},
	{"jobs", "Jobs", (*site).viewJobs},
	{"destinations", "Destinations", (*site).viewDestinations},
	{"refused", "Refused", (*site).viewRefused},
	{"dead-letters", "Dead letters", (*site).viewLetters},
	{"status", "Status", (*site).viewStatus},
	{"group", "Group", (*site).viewOneGroup},
	{"destination", "Destination", (*site).viewOneDestination},
}

const menuLength = 7

// site makes the pages.
type site struct {
	*Handler
	health healthCache
}

// Pages returns what serves each page, by the path below the route prefix.
func (h *Handler) Pages() map[string]http.Handler { return h.site.pages() }

func (h *site) pages() map[string]http.Handler {
	all := map[string]http.Handler{"/live": h.live()}
	for _, p := range pages {
		path := "/" + p.name
		if p.name == "overview" {
			path = "/{$}"
		}
		all[path] = h.page(p)
	}
	return all
}

// frame is what all pages show around their own view.
type frame struct {
	Base    string // what links to other paths begin with, see Options.ExternalPath
	Assets  string // version of the static files
	Version string
	Name    string
	Title   string
	Health  health
	Menu    []menuItem
	View    any
}

type menuItem struct {
	Path, Title string
	Current     bool
	Count       int // of what is wrong there
}

// Home is the link to the overview.
func (f *frame) Home() string {
	if f.Base == "" {
		return "./"
	}
	return f.Base
}

// redirectError sends a browser to another page.
type redirectError struct{ to string }

func (e *redirectError) Error() string { return "see " + e.to }

func (h *site) page(p page) http.Handler {
	return GetOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		view, err := p.view(h, r)
		if to, ok := errors.AsType[*redirectError](err); ok {
			// Not http.Redirect: what stands before the path is known to a proxy alone.
			w.Header().Set("Location", h.o.ExternalPath+to.to)
			w.WriteHeader(http.StatusFound)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f := h.frame(p)
		f.View = view
		var text bytes.Buffer
		if err := h.assets.pages[p.name].ExecuteTemplate(&text, "layout.html", f); err != nil {
			h.o.Logger.Error("page not rendered", "page", p.name, "err", err)
			http.Error(w, "The page could not be rendered: "+err.Error(), http.StatusInternalServerError)
			return
		}
		h.writePage(w, text.Bytes())
	}))
}

func (h *site) frame(p page) *frame {
	f := &frame{
		Base: h.o.ExternalPath, Assets: h.assets.version, Version: h.o.Process.Build["version"],
		Name: p.name, Title: p.title, Health: h.health.now(h),
	}
	for _, m := range pages[:menuLength] {
		item := menuItem{Path: f.Base + m.name, Title: m.title, Current: strings.TrimSuffix(m.name, "s") == strings.TrimSuffix(p.name, "s")}
		if m.name == "overview" {
			item.Path = f.Home()
		}
		item.Count = f.Health.counts[m.name]
		f.Menu = append(f.Menu, item)
	}
	return f
}

// writePage answers with a page, of which nothing is kept anywhere.
func (h *site) writePage(w http.ResponseWriter, text []byte) {
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", contentPolicy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "same-origin")
	head.Set("Cache-Control", "no-store")
	if _, err := w.Write(text); err != nil {
		h.o.Logger.Debug("page cut short", "err", err)
	}
}

// link returns the address of a page with a query. Without a base it is relative to the
// other pages.
func link(base, name string, query url.Values) string {
	if len(query) == 0 {
		return base + name
	}
	return base + name + "?" + query.Encode()
}
