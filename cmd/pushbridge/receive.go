package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/receiver"
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
  {"refuse": {"as": "mimir", "match": {"__name__": "bad"}}}
"requests" ends a fault after so many, "share" picks requests by chance,
"fail" with "store": true takes the samples all the same, "drop_answers" takes
them and closes the connection. "refuse" refuses samples with these labels, with
"natives": true native histograms, and old samples; the rest of the request and the answer
are treated as prometheus, mimir, thanos or cortex do, or as a broken receiver that
answers 500. {} ends all faults.`

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
	ln, err := listenOn(ctx, c.String(flagListenAddress), c.String(flagListenAddressFile))
	if err == nil {
		err = rc.Serve(ctx, ln)
	}
	err = errors.Join(err, closeOutput())
	if err != nil {
		return err
	}
	return rc.Verdict()
}

// newReceiver builds a receiver from the command's flags.
func newReceiver(c *cli.Context) (rc *receiver.Receiver, closeOutput func() error, err error) {
	if c.NArg() > 0 {
		return nil, nil, fmt.Errorf("unexpected argument %q", c.Args().First())
	}
	protocols, err := parseProtocols(c.String(receiveFlagProtocol))
	if err != nil {
		return nil, nil, err
	}
	control, err := parseControl(c.String(receiveFlagControl))
	if err != nil {
		return nil, nil, err
	}
	out, closeOutput, err := openOutput(c.String(receiveFlagOutput), c.App.Writer)
	if err != nil {
		return nil, nil, err
	}
	return receiver.New(receiver.Options{
		Protocols:  protocols,
		Output:     out,
		Strict:     c.Bool(receiveFlagStrict),
		Times:      c.Bool(receiveFlagTimes),
		MaxSamples: c.Int(receiveFlagMaxSamples),
		Control:    control,
		Logger:     slog.New(slog.NewTextHandler(c.App.ErrWriter, nil)).With("component", "receive"),
	}), closeOutput, nil
}

func parseControl(document string) (receiver.Control, error) {
	if document == "" {
		return receiver.Control{}, nil
	}
	control, err := receiver.ParseControl(strings.NewReader(document))
	if err != nil {
		return control, fmt.Errorf("--%s: %w", receiveFlagControl, err)
	}
	return control, nil
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

// listenOn opens a listener, and writes its address to a file if one is named.
func listenOn(ctx context.Context, address, addressFile string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if addressFile == "" {
		return ln, nil
	}
	if err := writeAddresses(addressFile, []net.Listener{ln}); err != nil {
		return nil, errors.Join(fmt.Errorf("--%s: %w", flagListenAddressFile, err), ln.Close())
	}
	return ln, nil
}
