package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
)

// The flags of `receive` that the gateway itself does not have.
const (
	receiveFlagOutput     = "output"
	receiveFlagTimes      = "times"
	receiveFlagStrict     = "strict"
	receiveFlagProtocol   = "protocol"
	receiveFlagMaxSamples = "max-samples"
	receiveFlagControl    = "control"
)

const receiveDescription = `Takes remote write 1.0 and 2.0 at /api/v1/write (also /api/v1/push,
/api/v1/receive and /receive) and prints each sample as one line.

What it holds:  GET /api/v1/samples, /api/v1/series, /api/v1/stats. Query
parameters select by label: /api/v1/samples?__name__=up&job=backup.

Faults:         PUT /control with a JSON document, for instance
  {"fail": {"status": 503, "retry_after": "2", "requests": 3}}
  {"seed": 7, "fail": {"status": 500, "share": 0.1}, "drop_answers": {"share": 0.05}}
  {"slow": {"delay": "10s"}}
"requests" ends a fault after so many, "share" picks requests by chance,
"fail" with "store": true takes the samples all the same, "drop_answers" takes
them and closes the connection. {} ends all faults.`

// receiveCommand is `pushbridge receive`.
func receiveCommand() *cli.Command {
	return &cli.Command{
		Name:        "receive",
		Usage:       "A small remote-write receiver that prints what arrives, for trying out and for scripts.",
		Description: receiveDescription,
		Action:      runReceive,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: flagListenAddress, Value: "127.0.0.1:9099", Usage: "Address to listen on; port 0 takes a free one."},
			&cli.StringFlag{Name: flagListenAddressFile, Usage: "File to write the bound address to."},
			&cli.StringFlag{Name: receiveFlagOutput, Value: "-", Usage: "File to print samples to; - is the standard output, empty prints nothing."},
			&cli.BoolFlag{Name: receiveFlagTimes, Value: true, Usage: "Print the time of each sample; --no-times leaves it out."},
			&cli.BoolFlag{Name: receiveFlagStrict, Usage: "Print violations of order and form, and exit with 1 if there were any."},
			&cli.StringFlag{Name: receiveFlagProtocol, Value: "both", Usage: "Remote-write protocol to take: 1, 2 or both; the other is answered 415."},
			&cli.IntFlag{Name: receiveFlagMaxSamples, Value: 1_000_000, Usage: "Samples to hold, the oldest go first; 0 is no bound."},
			&cli.StringFlag{Name: receiveFlagControl, Usage: "Control document to start with, see above."},
		},
	}
}

func runReceive(c *cli.Context) error {
	rc, closeOutput, err := newReceiver(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = rc.run(ctx, c.String(flagListenAddress), c.String(flagListenAddressFile))
	err = errors.Join(err, closeOutput())
	if err != nil {
		return err
	}
	return rc.verdict()
}

// newReceiver builds a receiver from the command's flags.
func newReceiver(c *cli.Context) (rc *receiver, closeOutput func() error, err error) {
	if c.NArg() > 0 {
		return nil, nil, fmt.Errorf("unexpected argument %q", c.Args().First())
	}
	protocols, err := parseProtocols(c.String(receiveFlagProtocol))
	if err != nil {
		return nil, nil, err
	}
	faults := newReceiveFaults()
	if doc := c.String(receiveFlagControl); doc != "" {
		control, err := parseControl(strings.NewReader(doc))
		if err != nil {
			return nil, nil, fmt.Errorf("--%s: %w", receiveFlagControl, err)
		}
		faults.Set(control)
	}
	out, closeOutput, err := openOutput(c.String(receiveFlagOutput), c.App.Writer)
	if err != nil {
		return nil, nil, err
	}
	strict := c.Bool(receiveFlagStrict)
	return &receiver{
		protocols: protocols,
		strict:    strict,
		store:     newReceiveStore(out, strict, c.Bool(receiveFlagTimes), c.Int(receiveFlagMaxSamples)),
		faults:    faults,
		logger:    slog.New(slog.NewTextHandler(c.App.ErrWriter, nil)).With("component", "receive"),
	}, closeOutput, nil
}

func parseProtocols(s string) ([]int, error) {
	switch s {
	case "1":
		return []int{1}, nil
	case "2":
		return []int{2}, nil
	case "both":
		return []int{1, 2}, nil
	}
	return nil, fmt.Errorf("--%s is %q, want 1, 2 or both", receiveFlagProtocol, s)
}

// openOutput opens where samples are printed to; nil prints none.
func openOutput(name string, stdout io.Writer) (io.Writer, func() error, error) {
	nothing := func() error { return nil }
	switch name {
	case "":
		return nil, nothing, nil
	case "-":
		return stdout, nothing, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, nil, fmt.Errorf("--%s: %w", receiveFlagOutput, err)
	}
	return f, f.Close, nil
}

// run serves until ctx ends.
func (rc *receiver) run(ctx context.Context, address, addressFile string) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if addressFile != "" {
		if err := writeAddresses(addressFile, []net.Listener{ln}); err != nil {
			return errors.Join(fmt.Errorf("--%s: %w", flagListenAddressFile, err), ln.Close())
		}
	}
	rc.logger.Info("receiver listens", "address", ln.Addr().String())
	srv := &http.Server{Handler: rc.routes(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stopReceiver(ctx, srv)
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// stopReceiver lets running requests end, for a moment: one may be slow on purpose.
func stopReceiver(ctx context.Context, srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close()
	}
}

// verdict logs what came, and is an error when a strict receiver found faults.
func (rc *receiver) verdict() error {
	s := rc.store.Stats()
	rc.logger.Info("receiver stopped", "requests", s.Requests, "samples", s.Samples,
		"stale_markers", s.StaleMarkers, "repeats", s.Repeats, "violations", s.Violations)
	if rc.strict && s.Violations > 0 {
		return fmt.Errorf("%d violations of order or form", s.Violations)
	}
	return nil
}
