package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Options say what a receiver takes and what it prints.
type Options struct {
	Protocols  []int     // 1, 2 or both; another is answered 415
	Output     io.Writer // where samples are printed to; nil prints none
	Strict     bool      // violations are printed too, and decide the verdict
	Times      bool      // each sample is printed with its time
	MaxSamples int       // samples held at most, the oldest go first; 0 is no bound
	Control    Control   // the faults to start with
	Logger     *slog.Logger
}

// Receiver is a remote-write receiver.
type Receiver struct {
	protocols []int // those it takes
	strict    bool
	store     *store
	faults    *faults
	logger    *slog.Logger
}

// New makes a receiver that holds nothing yet.
func New(o Options) *Receiver {
	rc := &Receiver{
		protocols: o.Protocols,
		strict:    o.Strict,
		store:     newStore(o.Output, o.Strict, o.Times, o.MaxSamples),
		faults:    newFaults(),
		logger:    o.Logger,
	}
	rc.faults.Set(o.Control)
	return rc
}

// Serve answers on ln until ctx ends.
func (rc *Receiver) Serve(ctx context.Context, ln net.Listener) error {
	rc.logger.Info("receiver listens", "address", ln.Addr().String())
	srv := &http.Server{Handler: rc.handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stop(ctx, srv)
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// stop lets running requests end, for a moment: one may be slow on purpose.
func stop(ctx context.Context, srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close()
	}
}

// Verdict logs what came, and is an error when a strict receiver found faults.
func (rc *Receiver) Verdict() error {
	s := rc.store.Stats()
	rc.logger.Info("receiver stopped", "requests", s.Requests, "samples", s.Samples,
		"stale_markers", s.StaleMarkers, "repeats", s.Repeats, "violations", s.Violations)
	if rc.strict && s.Violations > 0 {
		return fmt.Errorf("%d violations of order or form", s.Violations)
	}
	return nil
}
