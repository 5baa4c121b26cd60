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
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/ingest"
	"github.com/pushbridge/pushbridge/pgfile"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
	"github.com/pushbridge/pushbridge/remotewrite"
	"github.com/pushbridge/pushbridge/web"
)

// recordLog is the log that everything turns around.
type recordLog = queue.Log[*group.Record]

// gateway is every component, built and wired. Nothing runs before run.
type gateway struct {
	settings *settings
	log      *slog.Logger
	now      func() time.Time
	registry *prometheus.Registry

	frontend     *frontend
	store        *group.Store
	queue        *recordLog
	storageDir   string // of the queue; empty when everything is in memory
	writer       *ingest.Writer
	destinations *destinations
	upkeep       *upkeep
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
	g, err := newGateway(ctx, s, log)
	if err != nil {
		return err
	}
	return g.run(ctx)
}

// newGateway builds the components in the order of the data flow, and reads the
// state back from disk.
func newGateway(ctx context.Context, s *settings, log *slog.Logger) (_ *gateway, err error) {
	g := &gateway{settings: s, log: log, now: newClock(s.clockOffsetFile), quit: make(chan struct{})}
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
	g.store = group.NewStore(g.storeOptions())
	if g.queue, err = g.openQueue(len(c.Destinations) > 0); err != nil {
		return nil, err
	}
	if err := g.restore(); err != nil {
		return nil, errors.Join(err, g.queue.Close())
	}
	if err := g.wire(c); err != nil {
		return nil, errors.Join(err, g.queue.Close())
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

func (g *gateway) storeOptions() group.Options {
	return group.Options{
		CheckConsistency:  !g.settings.disableConsistency,
		OwnFamilies:       func() []group.OwnFamily { return ownFamilies(g.registry, g.log) },
		MaxGroups:         g.settings.limits.MaxGroups,
		MaxSeriesPerGroup: g.settings.limits.MaxSeries,
		Logger:            g.log.With("component", "group"),
		Registerer:        g.registry,
		Now:               g.now,
	}
}

// openQueue opens the log. Where a Pushgateway would have started, without a
// word about storage and with nowhere to send to, a directory that cannot be used
// is no reason not to start.
func (g *gateway) openQueue(sends bool) (*recordLog, error) {
	path := g.settings.storagePath
	if path == "" {
		g.log.Warn("no storage path is set: what was pushed is lost when the process ends")
		return g.open(queue.NewMemory())
	}
	l, err := g.open(disk.New(disk.Options{
		Dir:           path,
		Fsync:         g.settings.fsync,
		FsyncInterval: g.settings.fsyncInterval,
		MaxBytes:      g.settings.maxBytes,
		MinFreeBytes:  g.settings.minFreeBytes,
	}))
	if err == nil {
		g.storageDir = path
		return l, nil
	}
	if g.settings.storagePathSet || sends || errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("--%s: %w", flagStoragePath, err)
	}
	g.log.Warn("storage path cannot be used, keeping everything in memory: what was pushed is lost when the process ends",
		"path", path, "err", err)
	return g.open(queue.NewMemory())
}

// orNone is what the queue calls no time at all: its 0 is the default.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// open opens a log, and shows its metrics only if that works: another one may
// have to take its place.
func (g *gateway) open(s queue.Store) (*recordLog, error) {
	metrics := prometheus.NewRegistry()
	l, err := queue.Open(s, queue.Options{
		OnFull:          g.settings.onFull,
		OrphanRetention: orNone(g.settings.orphanRetention),
		Logger:          g.log.With("component", "queue"),
		Registerer:      metrics,
		Now:             g.now,
	}, recordCodec)
	if err == nil {
		g.registry.MustRegister(metrics)
	}
	return l, err
}

// recordCodec tells the log about records.
var recordCodec = queue.Codec[*group.Record]{
	Encode:  group.EncodeRecord,
	Decode:  group.DecodeRecord,
	Samples: (*group.Record).Samples,
	Time:    func(r *group.Record) int64 { return r.Time },
	Size:    (*group.Record).Size,
}

// restore folds the log over the newest snapshot.
func (g *gateway) restore() error {
	began := time.Now()
	seq, floor, err := g.queue.ReadSnapshot(g.store.LoadSnapshot)
	if err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	err = g.queue.Replay(seq, func(r *group.Record, seq uint64) error {
		g.store.Restore(r, seq)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	g.store.FinishRestore(max(floor, g.queue.Floor()))
	if g.settings.resetClock {
		if err := g.queue.ResetClock(); err != nil {
			return err
		}
		g.store.ResetClock()
		g.log.Warn("timestamps given out before are forgotten: receivers may refuse samples that are not newer")
	}
	g.log.Info("state restored", "groups", len(g.store.Groups()), "seq", g.queue.Head(), "took", time.Since(began))
	return nil
}

// wire connects the components that work on the state.
func (g *gateway) wire(c *config.Config) error {
	intake, err := remotewrite.NewIntake(g.registry)
	if err != nil {
		return err
	}
	g.writer = ingest.NewWriter(g.store, g.queue, g.registry)
	g.writer.OnKept(intake.Observe)
	g.store.SetRules(g.settings.rulesOf(c))
	g.registry.MustRegister(overdueCollector{g.store, g.now})
	g.upkeep = newUpkeep(g)
	g.destinations = newDestinations(g, intake)
	if err := g.destinations.prepare(c); err != nil {
		return err
	}
	g.persistence = g.newKeeper()
	g.reloader = newReloader(g.registry)
	g.handler = g.routes(g.pushHandler(), web.New(g.webOptions()))
	return nil
}

func (g *gateway) pushHandler() *ingest.Handler {
	return ingest.NewHandler(g.writer, ingest.Options{
		Prefix:    g.settings.routePrefix,
		Unchecked: g.settings.disableConsistency,
		UTF8Names: g.settings.enableUTF8,
		AdminAPI:  g.settings.enableAdminAPI,
		Limits:    g.settings.limits,
		TTL:       g.settings.ttl,

		AcceptTimestamps: g.settings.acceptTimestamps,
		MaxAge:           g.settings.maxAge,

		Logger:     g.log.With("component", "ingest"),
		Registerer: g.registry,
		Now:        g.now,
	})
}

func (g *gateway) webOptions() web.Options {
	return web.Options{
		Store:        g.store,
		Gatherer:     g.registry,
		Flags:        g.settings.values,
		Build:        buildInformation(),
		Started:      g.now(),
		Ready:        g.queue.Err,
		Destinations: g.destinations.status,
		Refused:      g.destinations.refused,
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
func (g *gateway) run(ctx context.Context) error {
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
		{"queue", g.queue.Run},
		{"destinations", g.destinations.run},
		{"persistence", g.persistence.Run},
		{"upkeep", g.upkeep.run},
		{"reload", g.reloadOnHangup},
		{"web", func(ctx context.Context) error {
			g.persistence.Wait(ctx)
			return g.frontend.run(ctx, g.handler)
		}},
	})
	err = errors.Join(err, g.queue.Close())
	if err == nil {
		g.log.Info("stopped", "seq", g.queue.Head())
	}
	return err
}

// stopReserve is what each stage may take to stop beyond the time that requests and
// sending get, for the disk.
const stopReserve = 20 * time.Second

// requestQuit ends run. It may be called more than once.
func (g *gateway) requestQuit() { g.quitOnce.Do(func() { close(g.quit) }) }
