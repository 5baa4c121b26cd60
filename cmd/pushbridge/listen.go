package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/sync/errgroup"

	"github.com/pushbridge/pushbridge/config"
	"github.com/pushbridge/pushbridge/ingest"
	"github.com/pushbridge/pushbridge/lane"
	"github.com/pushbridge/pushbridge/wholefile"
)

// headerTimeout bounds how long a client may take to send its headers.
const headerTimeout = 30 * time.Second

// minPatience is what a request that runs gets at the least, to hear of its push.
const minPatience = time.Second

// frontend serves one handler on all listeners.
type frontend struct {
	listeners []net.Listener
	pushes    string        // how their paths begin
	config    string        // of TLS and authentication, empty for neither
	open      []string      // paths that need no password all the same
	idle      time.Duration // that a connection may be
	patience  time.Duration // with requests that run when it stops
	log       *slog.Logger
}

// listen opens the listeners that the settings name, so that a port in use is
// known before anything else is done.
func listen(ctx context.Context, s *settings, log *slog.Logger) (*frontend, error) {
	if err := web.Validate(s.webConfigFile); err != nil {
		return nil, fmt.Errorf("--%s: %w", flagWebConfigFile, config.Explain(err))
	}
	listeners, err := openListeners(ctx, s)
	if err != nil {
		return nil, err
	}
	f := &frontend{
		listeners: listeners, config: s.webConfigFile, open: s.openPaths(),
		pushes: s.routePrefix + ingest.PushPath, idle: s.readTimeout, patience: max(s.shutdownTimeout, minPatience), log: log,
	}
	if s.listenAddressFile != "" {
		if err := writeAddresses(s.listenAddressFile, listeners); err != nil {
			return nil, errors.Join(fmt.Errorf("--%s: %w", flagListenAddressFile, err), f.close())
		}
	}
	return f, nil
}

func openListeners(ctx context.Context, s *settings) ([]net.Listener, error) {
	if s.systemdSocket {
		listeners, err := activation.Listeners()
		if err == nil && len(listeners) == 0 {
			err = errors.New("systemd passed no socket")
		}
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flagSystemdSocket, err)
		}
		return listeners, nil
	}
	var f frontend
	for _, address := range s.listenAddresses {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("--%s: %w", flagListenAddress, err), f.close())
		}
		f.listeners = append(f.listeners, l)
	}
	return f.listeners, nil
}

// writeAddresses writes the file as a whole, so that who waits for it never reads
// half of it.
func writeAddresses(file string, listeners []net.Listener) error {
	return wholefile.Write(file, func(w io.Writer) error {
		for _, l := range listeners {
			if _, err := fmt.Fprintln(w, l.Addr()); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// run serves h until ctx ends, then lets the requests that run finish for a while:
// they may wait for the disk, which must outlive this stage.
func (f *frontend) run(ctx context.Context, h http.Handler) error {
	var serving errgroup.Group
	failed := make(chan struct{}, len(f.listeners))
	var doors []door
	for _, inner := range f.listeners {
		d := f.door(inner, h)
		doors = append(doors, d)
		serving.Go(func() error {
			err := web.Serve(d.listener(), d.server, &web.FlagConfig{WebConfigFile: &f.config}, slog.New(discreet{f.log.Handler()}))
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			failed <- struct{}{}
			return fmt.Errorf("serve on %s: %w", inner.Addr(), err)
		})
	}
	select {
	case <-ctx.Done():
	case <-failed:
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.patience)
	defer cancel()
	var stopping errgroup.Group
	for _, d := range doors {
		stopping.Go(func() error { return f.stop(ctx, d) })
	}
	return errors.Join(stopping.Wait(), serving.Wait())
}

// door is what serves one listener.
type door struct {
	inner  net.Listener
	server *http.Server
	lane   *lane.Listener // for plain pushes; nil where each request needs TLS or a password
}

func (f *frontend) door(inner net.Listener, h http.Handler) door {
	d := door{inner: inner, server: f.server(h)}
	if f.config == "" {
		d.lane = lane.New(inner, lane.Options{
			Handler: h, Path: f.pushes, HeaderTimeout: headerTimeout, IdleTimeout: f.idle, ErrorLog: d.server.ErrorLog,
		})
	}
	return d
}

// listener returns what the server takes connections from.
func (d *door) listener() net.Listener {
	if d.lane != nil {
		return d.lane
	}
	return d.inner
}

// shutdown ends what is idle, and returns when requests that run have ended, or ctx
// has.
func (d *door) shutdown(ctx context.Context) error {
	var both errgroup.Group
	both.Go(func() error { return d.server.Shutdown(ctx) })
	if d.lane != nil {
		both.Go(func() error { return d.lane.Shutdown(ctx) })
	}
	return both.Wait()
}

// close ends everything.
func (d *door) close() error {
	if d.lane != nil {
		d.lane.Cut()
	}
	return d.server.Close()
}

// server returns a server for one listener: the toolkit changes the one that it is
// given. It puts a handler before ours that asks for the password, and then serves;
// what needs none must go before that, at the one moment in between.
func (f *frontend) server(h http.Handler) *http.Server {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: f.idle,
		ErrorLog: slog.NewLogLogger(f.log.Handler(), slog.LevelDebug),
	}
	if len(f.open) > 0 {
		srv.BaseContext = func(net.Listener) context.Context {
			srv.Handler = openDoor(srv.Handler, h, f.open)
			return context.Background()
		}
	}
	return srv
}

// openDoor sends who only looks at one of the paths to inside, all others to guard.
func openDoor(guard, inside http.Handler, paths []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && slices.Contains(paths, r.URL.Path) {
			inside.ServeHTTP(w, r)
			return
		}
		guard.ServeHTTP(w, r)
	})
}

// stop lets the requests of d finish until ctx ends, and closes the connections
// of the others: a client that neither sends nor reads has no claim to more.
func (f *frontend) stop(ctx context.Context, d door) error {
	err := d.shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	f.log.Warn("requests that did not end were cut off", "waited", f.patience)
	return d.close()
}

// close gives up listeners that were never served.
func (f *frontend) close() error {
	var errs []error
	for _, l := range f.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// discreet keeps out of the log what the toolkit quotes of its configuration file,
// which it reads again at each request: it may be the hash of a password.
type discreet struct{ slog.Handler }

// Handle implements slog.Handler.
func (d discreet) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "err" {
			a = slog.Any(a.Key, config.Explain(errors.New(a.Value.String())))
		}
		out.AddAttrs(a)
		return true
	})
	return d.Handler.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (d discreet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return discreet{d.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (d discreet) WithGroup(name string) slog.Handler { return discreet{d.Handler.WithGroup(name)} }
