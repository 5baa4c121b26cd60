package main

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pushbridge/pushbridge/ingest"
	"github.com/pushbridge/pushbridge/replica"
	"github.com/pushbridge/pushbridge/web"
)

// route is one row of the table: what answers a path below the route prefix.
type route struct {
	path    string // as http.ServeMux takes it
	name    string // in pushgateway_http_requests_total; empty: not counted there
	handler http.Handler
}

// routes is the one table of HTTP routes. The write side's paths are its own
// business, since its answers depend on the case and the slashes of a path, which
// a ServeMux overlooks.
func (s *server) routes(push *ingest.Handler, views *web.Handler) http.Handler {
	mux := http.NewServeMux()
	prefix, requests := s.settings.routePrefix, ingest.RequestCounter(s.registry)
	var missed, missedAPI detour
	for _, r := range append(s.pages(push, views), []route{
		{s.settings.telemetryPath, "", push.DecodeBody(views.Metrics())},
		{"/static/", "static", push.DecodeBody(views.Static())},
		{"/api/v1/metrics", "api/v1/metrics", views.APIMetrics()},
		{"/api/v1/status", "api/v1/status", views.APIStatus()},
		{ingest.GroupsPath, "", s.groupsRoute(push, counted(requests, route{name: "api/v1/groups", handler: views.APIGroups()}))},
		{"/api/v1/destinations", "api/v1/destinations", views.APIDestinations()},
		{lettersPath, "api/v1/dead-letters", views.APIDeadLetters()},
		{lettersPath + "/export", "api/v1/dead-letters/export", views.APIDeadLettersExport()},
		{"/api/v1/jobs", "api/v1/jobs", views.APIJobs()},
		{replica.Path, "api/v1/replicas", s.replicas.Notice(views.APIReplicas())},
		{"/api/v1/refused", "api/v1/refused", views.APIRefused()},
		{destinationsPath, "api/v1/destinations", s.replicas.Forward(s.pauseRoute())},
		{"/api/v1/openapi.yaml", "api/v1/openapi.yaml", views.APIDescription()},
		{"/api/v1/pushes/{id}", "api/v1/pushes", s.replicas.ForwardReads(views.APIPush())},
		{healthyPath, "healthy", push.DecodeBody(views.Healthy())},
		{readyPath, "ready", push.DecodeBody(views.Ready())},
		{"/debug/pprof/", "", push.DecodeBody(views.Pprof())},
	}...) {
		path := prefix + r.path
		mux.Handle(path, counted(requests, r))
		if strings.HasPrefix(r.path, apiPath) {
			missedAPI.add(path, http.MethodGet)
		} else {
			missed.add(path, http.MethodGet)
		}
	}
	for path, command := range map[string]http.HandlerFunc{
		prefix + quitPath: s.quitCommand, prefix + "/-/reload": s.reloadCommand,
	} {
		mux.Handle(path, push.DecodeBody(s.onCommand(path == quitPath, command)))
		missed.add(path, http.MethodPut, http.MethodPost)
	}
	// Pushgateway gives this one answer, and no other, without the prefix too.
	missed.add(quitPath, http.MethodGet)
	if prefix != "" {
		mux.Handle(quitPath, push.DecodeBody(web.GetOnly(http.HandlerFunc(wrongMethod))))
	}
	mux.Handle(prefix+lettersPath+"/replay", web.Preflight(s.replicas.Forward(http.HandlerFunc(s.replayCommand))))
	mux.Handle(prefix+apiPath, web.Preflight(&missedAPI))
	// The mux would send these to their trees whatever the method.
	for _, path := range []string{prefix + "/static", prefix + "/debug/pprof", "/"} {
		mux.Handle(path, push.DecodeBody(&missed))
	}
	if prefix != "" {
		mux.Handle(prefix, push.DecodeBody(&missed))
	}
	pushes := s.replicas.Forward(s.tee.Copy(push))
	return ingest.Uploads(s.settings.readTimeout, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if push.Owns(r.URL.Path) {
			pushes.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// groupsRoute reads with GET, and leaves the rest to those who write: they count their
// requests themselves.
func (s *server) groupsRoute(push *ingest.Handler, list http.Handler) http.Handler {
	change := s.replicas.Forward(http.HandlerFunc(push.ServeGroups))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			list.ServeHTTP(w, r)
			return
		}
		change.ServeHTTP(w, r)
	})
}

// pages are the routes of the pages, but for one whose path --web.telemetry-path takes.
func (s *server) pages(push *ingest.Handler, views *web.Handler) []route {
	var out []route
	for path, page := range views.Pages() {
		if path != s.settings.telemetryPath {
			out = append(out, route{path, "status", push.DecodeBody(page)})
		}
	}
	return out
}

func counted(requests *prometheus.CounterVec, r route) http.Handler {
	if r.name == "" {
		return r.handler
	}
	return promhttp.InstrumentHandlerCounter(requests.MustCurryWith(prometheus.Labels{"handler": r.name}), r.handler)
}

const (
	apiPath  = "/api/v1/"
	quitPath = "/-/quit"

	healthyPath = "/-/healthy"
	readyPath   = "/-/ready"
)

// onCommand answers the methods that a command does not have as Pushgateway
// does, which has a word for GET, at one path only. Commands are off without
// --web.enable-lifecycle.
func (s *server) onCommand(explainGet bool, command http.HandlerFunc) http.Handler {
	allow := "OPTIONS, POST, PUT"
	if explainGet {
		allow = "GET, " + allow
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut, r.Method == http.MethodPost:
			if !s.settings.enableLifecycle {
				plain(w, http.StatusForbidden, "Lifecycle API is not enabled.")
				return
			}
			if foreign(r) {
				plain(w, http.StatusForbidden, foreignAnswer)
				return
			}
			command(w, r)
		case r.Method == http.MethodGet && explainGet:
			wrongMethod(w, r)
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allow)
		default:
			w.Header().Set("Allow", allow)
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		}
	})
}

// quitCommand answers before the process stops: stopping waits for answers.
func (s *server) quitCommand(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, "Requesting termination... Goodbye!")
	s.requestQuit()
}

func (s *server) reloadCommand(w http.ResponseWriter, r *http.Request) {
	if err := s.reload(r.Context()); err != nil {
		http.Error(w, "nothing was changed: "+err.Error(), http.StatusInternalServerError)
	}
}

func wrongMethod(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusMethodNotAllowed, "Only POST or PUT requests allowed.")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client has gone, and that is all
}
