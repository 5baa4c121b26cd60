package web

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/state"
)

// Options is what the views show. Store and Gatherer must be set.
type Options struct {
	Store    *state.Store
	Gatherer prometheus.Gatherer // the gateway's own metrics

	Process Process

	// Ready returns why pushes cannot be taken at present. Nil: they always can.
	Ready func() error

	// Destinations returns how each destination is doing. Nil: there are none.
	Destinations func() []Destination

	// Jobs returns the expected jobs. Nil: there are none.
	Jobs func() []Job

	// Refused returns the latest time that a destination refused samples of a group,
	// by the group's ID. Nil: none ever did.
	Refused func() map[string]Refused

	// Refusals are the requests that were refused of late.
	Refusals Refusals

	// Pushes knows what became of pushes. Nil: nothing is sent.
	Pushes Pushes
	// History is what the pages show of the last hour. Nil: nothing.
	History *History

	Settings func(name string) string // of a destination, as YAML without secrets. Nil: none

	// ExternalPath is the path under which clients see the gateway, with a slash at the
	// end: links of the page begin with it. Empty: they are relative to the page.
	ExternalPath string

	DeadLetters DeadLetters

	MaxScrapes int // answered at once, the others wait; 0: any number

	AdminAPI bool // the pages offer to delete all groups, and to pause destinations

	Logger *slog.Logger     // nil discards
	Now    func() time.Time // nil is time.Now
}

// Process is what is shown of the process itself. Flags and Build are shown as they are:
// all flags by name, without dashes, and version, revision, branch, buildUser, buildDate,
// goVersion.
type Process struct {
	Flags, Build map[string]string
	Started      time.Time
	InMemory     bool            // what was pushed is lost when it ends
	Replicas     func() Replicas // who writes the log. Nil: this process, and nobody else could
}

// Handler makes the handlers of the read-only routes.
type Handler struct {
	o      Options
	assets *assets
	site   *site
}

// New returns the views of o.
func New(o Options) *Handler {
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Destinations == nil {
		o.Destinations = func() []Destination { return nil }
	}
	if o.Jobs == nil {
		o.Jobs = func() []Job { return nil }
	}
	if o.Process.Replicas == nil {
		o.Process.Replicas = func() Replicas { return Replicas{Replicas: []Replica{}} }
	}
	if o.Refused == nil {
		o.Refused = func() map[string]Refused { return nil }
	}
	if o.Refusals == nil {
		o.Refusals = noRefusals{}
	}
	if o.Pushes == nil {
		o.Pushes = noPushes{}
	}
	if o.Settings == nil {
		o.Settings = func(string) string { return "" }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handler{o: o, assets: newAssets()}
	h.site = &site{Handler: h}
	return h
}

// Metrics serves the /metrics view. It belongs at the telemetry path.
func (h *Handler) Metrics() http.Handler {
	return GetOnly(newExposition(h.o))
}
