package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/config"
)

// reloader reads the configuration file anew. Its metrics have the names that
// every Prometheus program uses, so that existing alerts cover them.
type reloader struct {
	successful prometheus.Gauge
	at         prometheus.Gauge
}

func newReloader(reg prometheus.Registerer) *reloader {
	r := &reloader{
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pushbridge_config_last_reload_successful",
			Help: "Whether the last attempt to load the configuration file worked.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pushbridge_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration file was last loaded.",
		}),
	}
	reg.MustRegister(r.successful, r.at)
	r.loaded()
	return r
}

func (r *reloader) loaded() {
	r.successful.Set(1)
	r.at.SetToCurrentTime()
}

// reload makes destinations and rules those of the configuration file as it is
// now. A file that cannot be used changes nothing.
func (s *server) reload(ctx context.Context) error {
	c, err := config.Load(ctx, s.settings.configFile, s.settings.remoteWriteURLs)
	if err == nil {
		err = s.destinations.reload(c)
	}
	if err != nil {
		s.reloader.successful.Set(0)
		s.log.Error("configuration was not loaded, the one before stays in force", "err", err)
		return err
	}
	s.gateway.SetRules(s.settings.rulesOf(c))
	s.gateway.SetJobs(c.Jobs)
	c.LogRemarks(s.log)
	s.reloader.loaded()
	s.log.Info("configuration loaded", "destinations", len(c.Destinations), "rules", len(c.Rules), "jobs", len(c.Jobs))
	return nil
}

// reloadOnHangup reloads at each SIGHUP until ctx ends. It does not wait for one
// that still reads then: a file that the configuration names may be a pipe, too.
func (s *server) reloadOnHangup(ctx context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = s.reload(ctx) // logged, and shown by a metric
			}()
			select {
			case <-done:
			case <-ctx.Done():
			}
		}
	}
}
