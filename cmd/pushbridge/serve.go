package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/version"

	"github.com/pushbridge/pushbridge/config"
	"github.com/pushbridge/pushbridge/deadletter"
	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/ingest"
	"github.com/pushbridge/pushbridge/pgfile"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
	"github.com/pushbridge/pushbridge/remotewrite"
	"github.com/pushbridge/pushbridge/replica"
	"github.com/pushbridge/pushbridge/state"
	"github.com/pushbridge/pushbridge/tee"
	"github.com/pushbridge/pushbridge/web"
)

// server is every component, built and wired. Nothing runs before run.
type server struct {
	settings *settings
	untold   bool // destinations are not told the state at first: see explain
	log      *slog.Logger
	now      func() time.Time
	registry *prometheus.Registry

	frontend     *frontend
	gateway      *gateway.Gateway
	storageDir   string            // of the log; empty when everything is in memory
	letters      *deadletter.Store // nil: none are kept
	destinations *destinations
	deliveries   *deliveries
	persistence  *pgfile.Keeper
	reloader     *reloader
	tee          *tee.Tee
	answering

	quit quit
}

// quit is whether the quit endpoint was called.
type quit struct {
	once sync.Once
	off  chan struct{} // closed then
}

// answering is what answers requests, and what it remembers for that.
type answering struct {
	handler  http.Handler
	history  *web.History
	replicas *replica.Replicas // others, which may answer for this one
}

// serve runs the gateway until it is told to stop, by ctx, by a signal or by
// the quit endpoint.
func serve(ctx context.Context, s *settings) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := s.logger(os.Stderr)
	warnOfEnv(log, unknownEnv(os.Environ(), commands()))
	log.Info("starting", "program", program, "version", version.Info())
	s.limitMemory(log)
	srv, err := newServer(ctx, s, log)
	if err != nil {
		return err
	}
	return srv.run(ctx)
}

// newServer makes the server that settings and configuration file ask for.
func newServer(ctx context.Context, s *settings, log *slog.Logger) (*server, error) {
	c, err := config.Load(ctx, s.configFile, s.remoteWriteURLs)
	if err != nil {
		return nil, err
	}
	c.LogRemarks(log)
	srv := &server{settings: s, log: log}
	if err := srv.build(ctx, c); err != nil {
		return nil, err
	}
	return srv, nil
}

// build makes the components in the order of the data flow, and reads the state back
// from disk.
func (s *server) build(ctx context.Context, c *config.Config) (err error) {
	s.now, s.quit.off = newClock(s.settings.clockOffsetFile), make(chan struct{})
	if s.frontend, err = listen(ctx, s.settings, s.log.With("component", "web")); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.frontend.close())
		}
	}()
	s.registry = newRegistry()
	if s.gateway, err = s.openGateway(len(c.Destinations) > 0); err != nil {
		return err
	}
	if err := s.wire(c); err != nil {
		return errors.Join(err, s.gateway.Close())
	}
	return nil
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
func (s *server) openGateway(sends bool) (*gateway.Gateway, error) {
	if len(s.settings.stream.URLs) > 0 {
		return s.openStream()
	}
	path := s.settings.storagePath
	if path == "" {
		s.log.Warn("no storage path is set: what was pushed is lost when the process ends")
		return gateway.Open(queue.NewMemory(), s.gatewayOptions())
	}
	opened, err := gateway.Open(disk.New(disk.Options{
		Dir:           path,
		Fsync:         s.settings.fsync,
		FsyncInterval: s.settings.fsyncInterval,
		MaxBytes:      s.settings.maxBytes,
		MinFreeBytes:  s.settings.minFreeBytes,
	}), s.gatewayOptions())
	if err == nil {
		s.storageDir = path
		return opened, nil
	}
	if s.settings.storagePathSet || sends || errors.Is(err, disk.ErrLocked) || errors.Is(err, queue.ErrUnfinished) || errors.As(err, new(*queue.LeftError)) {
		return nil, fmt.Errorf("--%s: %w", flagStoragePath, err)
	}
	s.log.Warn("storage path cannot be used, keeping everything in memory: what was pushed is lost when the process ends",
		"path", path, "err", err)
	return gateway.Open(queue.NewMemory(), s.gatewayOptions())
}

// Files in the storage directory that are not the log's.
const (
	hashesName  = "persistence.sha256" // tells Pushgateway's file as we wrote it from one that somebody else wrote
	notesName   = "destinations.yml"   // see notes
	namingsName = "names.yml"          // see remotewrite.Namings
)

// beside returns where such a file is, nothing when everything is in memory.
func (s *server) beside(name string) string {
	if s.storageDir == "" {
		return ""
	}
	return filepath.Join(s.storageDir, name)
}

func (s *server) gatewayOptions() gateway.Options {
	return gateway.Options{
		State: state.Options{
			CheckConsistency:  !s.settings.disableConsistency,
			MaxGroups:         s.settings.limits.MaxGroups,
			MaxSeriesPerGroup: s.settings.limits.MaxSeries,
		},
		Queue:      queue.Options{OnFull: s.settings.onFull, OrphanRetention: orNone(s.settings.orphanRetention), LateCursors: len(s.settings.stream.URLs) > 0},
		ResetClock: s.settings.resetClock,
		TakeOver:   s.settings.takeOver(),
		Own:        s.registry,
		Reserved:   reservedFamilies(),
		Logger:     s.log,
		Registerer: s.registry,
		Now:        s.now,
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
func (s *server) wire(c *config.Config) error {
	intake, err := remotewrite.NewIntake(s.registry)
	if err != nil {
		return err
	}
	s.gateway.OnKept(func(r *group.Record) {
		intake.Observe(r)
		s.history.Observe(r)
	})
	s.gateway.SetRules(s.settings.rulesOf(c))
	s.gateway.SetJobs(c.Jobs)
	if err := s.openLetters(); err != nil {
		return err
	}
	s.destinations = newDestinations(s, intake)
	if err := s.destinations.prepare(c); err != nil {
		return err
	}
	s.deliveries = newDeliveries(s.destinations, s.gateway, s.registry)
	s.persistence = s.newKeeper()
	s.reloader = newReloader(s.registry)
	s.tee = s.newTee()
	push := s.pushHandler()
	if s.replicas, err = s.newReplicas(push); err != nil {
		return err
	}
	s.history = web.NewHistory(web.HistoryOptions{
		Destinations: s.destinations.status, Refused: push.Refused, Registerer: s.registry, Now: s.now,
	})
	s.handler = s.routes(push, web.New(s.webOptions(push)))
	return nil
}

func (s *server) pushHandler() *ingest.Handler {
	return ingest.NewHandler(s.gateway, ingest.Options{
		Prefix:    s.settings.routePrefix,
		Unchecked: s.settings.disableConsistency,
		UTF8Names: s.settings.enableUTF8,
		AdminAPI:  s.settings.enableAdminAPI,
		Limits:    s.settings.limits,

		AcceptTimestamps: s.settings.acceptTimestamps,
		MaxAge:           s.settings.maxAge,

		RefusedBytes:    s.settings.refusedBytes,
		ShapeCacheBytes: s.settings.shapeCacheBytes,

		Deliveries: s.deliveries,

		Logger:     s.log.With("component", "ingest"),
		Registerer: s.registry,
		Now:        s.now,
	})
}

func (s *server) webOptions(push *ingest.Handler) web.Options {
	return web.Options{
		Store:    s.gateway.State(),
		Gatherer: s.registry,
		Process: web.Process{
			Flags: s.settings.values, Build: buildInformation(), Started: s.now(), InMemory: s.storageDir == "" && !s.gateway.Log().Shared(),
			Replicas: s.replicas.Status,
		},
		Ready:        s.replicas.Ready,
		Destinations: s.destinations.status,
		Jobs:         s.jobs,
		Refused:      s.destinations.refused,
		Refusals:     refusals{push},
		Pushes:       s.deliveries,
		History:      s.history,
		Settings:     s.destinations.settings,
		ExternalPath: externalPath(s.settings.externalURL),
		DeadLetters:  web.DeadLetters{Store: s.letters, Export: remotewrite.ExportLetter},
		MaxScrapes:   s.settings.maxScrapes,
		AdminAPI:     s.settings.enableAdminAPI,
		Logger:       s.log.With("component", "web"),
		Now:          s.now,
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
func (s *server) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-s.quit.off:
			stop()
		case <-ctx.Done():
		}
	}()
	err := runStages(ctx, s.settings.shutdownTimeout+stopReserve, []stage{
		{"memory", new(trimmer).run},
		{"queue", s.gateway.Log().Run},
		{"destinations", s.destinations.run},
		{"dead letters", s.replayWhenAsked},
		{"persistence", s.persistence.Run},
		{"upkeep", func(ctx context.Context) error { return s.gateway.Run(ctx, s.destinations.any) }},
		{"history", s.history.Run},
		{"reload", s.reloadOnHangup},
		{"tee", s.tee.Run},
		{"replicas", s.replicas.Run},
		{"web", func(ctx context.Context) error {
			s.persistence.Wait(ctx)
			defer context.AfterFunc(ctx, s.deliveries.end)()
			notify(s.log, daemon.SdNotifyReady)
			defer context.AfterFunc(ctx, func() { notify(s.log, daemon.SdNotifyStopping) })()
			return s.frontend.run(ctx, s.handler)
		}},
	})
	err = errors.Join(err, s.gateway.Close(), s.closeLetters())
	if err == nil {
		s.log.Info("stopped", "seq", s.gateway.Log().Head())
	}
	return err
}

// stopReserve is what each stage may take to stop beyond the time that requests and
// sending get, for the disk.
const stopReserve = 20 * time.Second

// requestQuit ends run. It may be called more than once.
func (s *server) requestQuit() { s.quit.once.Do(func() { close(s.quit.off) }) }
