package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/version"

	"github.com/pushbridge/pushbridge/config"
	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/ingest"
	"github.com/pushbridge/pushbridge/pgfile"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
	"github.com/pushbridge/pushbridge/remotewrite"
	"github.com/pushbridge/pushbridge/state"
	"github.com/pushbridge/pushbridge/web"
)

// server is every component, built and wired. Nothing runs before run.
type server struct {
	settings *settings
	log      *slog.Logger
	now      func() time.Time
	registry *prometheus.Registry

	frontend     *frontend
	gateway      *gateway.Gateway
	storageDir   string // of the log; empty when everything is in memory
	destinations *destinations
	persistence  *pgfile.Keeper
	reloader     *reloader
	handler      http.Handler

	quit     chan struct{} // closed by the quit endpoint
	quitOnce sync.Once
}

// serve runs the gateway until it is told to stop, by ctx, by a signal or by
// the quit endpoint.
func serve(ctx context.Context, s *settings) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := s.logger(os.Stderr)
	log.Info("starting", "program", program, "version", version.Info())
	s.limitMemory(log)
	g, err := newServer(ctx, s, log)
	if err != nil {
		return err
	}
	return g.run(ctx)
}

// newServer builds the components in the order of the data flow, and reads the
// state back from disk.
func newServer(ctx context.Context, s *settings, log *slog.Logger) (_ *server, err error) {
	g := &server{settings: s, log: log, now: newClock(s.clockOffsetFile), quit: make(chan struct{})}
	c, err := config.Load(ctx, s.configFile, s.remoteWriteURLs)
	if err != nil {
		return nil, err
	}
	c.LogRemarks(log)
	if g.frontend, err = listen(ctx, s, log.With("component", "web")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.frontend.close())
		}
	}()
	g.registry = newRegistry()
	if g.gateway, err = g.openGateway(len(c.Destinations) > 0); err != nil {
		return nil, err
	}
	if err := g.wire(c); err != nil {
		return nil, errors.Join(err, g.gateway.Close())
	}
	return g, nil
}

// newRegistry returns a registry with what every Prometheus program shows.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector(program),
		versioncollector.NewCollector("pushgateway"), // dashboards of Pushgateway ask for it
	)
	return r
}

// openGateway opens the state and its log. Where a Pushgateway would have started,
// without a word about storage and with nowhere to send to, a directory that cannot
// be used is no reason not to start.
func (g *server) openGateway(sends bool) (*gateway.Gateway, error) {
	path := g.settings.storagePath
	if path == "" {
		g.log.Warn("no storage path is set: what was pushed is lost when the process ends")
		return gateway.Open(queue.NewMemory(), g.gatewayOptions())
	}
	opened, err := gateway.Open(disk.New(disk.Options{
		Dir:           path,
		Fsync:         g.settings.fsync,
		FsyncInterval: g.settings.fsyncInterval,
		MaxBytes:      g.settings.maxBytes,
		MinFreeBytes:  g.settings.minFreeBytes,
	}), g.gatewayOptions())
	if err == nil {
		g.storageDir = path
		return opened, nil
	}
	if g.settings.storagePathSet || sends || errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("--%s: %w", flagStoragePath, err)
	}
	g.log.Warn("storage path cannot be used, keeping everything in memory: what was pushed is lost when the process ends",
		"path", path, "err", err)
	return gateway.Open(queue.NewMemory(), g.gatewayOptions())
}

func (g *server) gatewayOptions() gateway.Options {
	return gateway.Options{
		State: state.Options{
			CheckConsistency:  !g.settings.disableConsistency,
			MaxGroups:         g.settings.limits.MaxGroups,
			MaxSeriesPerGroup: g.settings.limits.MaxSeries,
		},
		Queue:      queue.Options{OnFull: g.settings.onFull, OrphanRetention: orNone(g.settings.orphanRetention)},
		ResetClock: g.settings.resetClock,
		Own:        g.registry,
		Reserved:   reservedFamilies,
		Logger:     g.log,
		Registerer: g.registry,
		Now:        g.now,
	}
}

// orNone is what the queue calls no time at all: its 0 is the default.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// wire connects the components that work on the state.
func (g *server) wire(c *config.Config) error {
	intake, err := remotewrite.NewIntake(g.registry)
	if err != nil {
		return err
	}
	g.gateway.OnKept(intake.Observe)
	g.gateway.SetRules(g.settings.rulesOf(c))
	g.destinations = newDestinations(g, intake)
	if err := g.destinations.prepare(c); err != nil {
		return err
	}
	g.persistence = g.newKeeper()
	g.reloader = newReloader(g.registry)
	g.handler = g.routes(g.pushHandler(), web.New(g.webOptions()))
	return nil
}

func (g *server) pushHandler() *ingest.Handler {
	return ingest.NewHandler(g.gateway, ingest.Options{
		Prefix:    g.settings.routePrefix,
		Unchecked: g.settings.disableConsistency,
		UTF8Names: g.settings.enableUTF8,
		AdminAPI:  g.settings.enableAdminAPI,
		Limits:    g.settings.limits,

		AcceptTimestamps: g.settings.acceptTimestamps,
		MaxAge:           g.settings.maxAge,

		ShapeCacheBytes: g.settings.shapeCacheBytes,

		Logger:     g.log.With("component", "ingest"),
		Registerer: g.registry,
		Now:        g.now,
	})
}

func (g *server) webOptions() web.Options {
	return web.Options{
		Store:        g.gateway.State(),
		Gatherer:     g.registry,
		Flags:        g.settings.values,
		Build:        buildInformation(),
		Started:      g.now(),
		Ready:        g.gateway.Log().Err,
		Destinations: g.destinations.status,
		Refused:      g.destinations.refused,
		ExternalPath: externalPath(g.settings.externalURL),
		MaxScrapes:   g.settings.maxScrapes,
		AdminAPI:     g.settings.enableAdminAPI,
		Logger:       g.log.With("component", "web"),
		Now:          g.now,
	}
}

func buildInformation() map[string]string {
	return map[string]string{
		"version": version.Version, "revision": version.GetRevision(), "branch": version.Branch,
		"buildUser": version.BuildUser, "buildDate": version.BuildDate, "goVersion": version.GoVersion,
	}
}

// run lives until ctx ends, quit is asked for or a component fails, and then
// stops the components from the source of the data flow to its sink.
func (g *server) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-g.quit:
			stop()
		case <-ctx.Done():
		}
	}()
	err := runStages(ctx, g.settings.shutdownTimeout+stopReserve, []stage{
		{"memory", new(trimmer).run},
		{"queue", g.gateway.Log().Run},
		{"destinations", g.destinations.run},
		{"persistence", g.persistence.Run},
		{"upkeep", func(ctx context.Context) error { return g.gateway.Run(ctx, g.destinations.any) }},
		{"reload", g.reloadOnHangup},
		{"web", func(ctx context.Context) error {
			g.persistence.Wait(ctx)
			return g.frontend.run(ctx, g.handler)
		}},
	})
	err = errors.Join(err, g.gateway.Close())
	if err == nil {
		g.log.Info("stopped", "seq", g.gateway.Log().Head())
	}
	return err
}

// stopReserve is what each stage may take to stop beyond the time that requests and
// sending get, for the disk.
const stopReserve = 20 * time.Second

// requestQuit ends run. It may be called more than once.
func (g *server) requestQuit() { g.quitOnce.Do(func() { close(g.quit) }) }
