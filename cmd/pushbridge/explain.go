package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"
	promconfig "github.com/prometheus/common/config"
	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/client"
	"github.com/pushbridge/pushbridge/config"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/receiver"
	"github.com/pushbridge/pushbridge/remotewrite"
)

// explainCommand is `pushbridge explain`.
func explainCommand() *cli.Command {
	return &cli.Command{
		Name:  "explain",
		Usage: "Says what a push would do, and sends nothing.",
		Description: "It starts a gateway in memory with the flags and the configuration file that are given, which may be all that\n" +
			"the real one has, with receivers of its own in the place of the destinations, pushes, and prints what arrives.\n" +
			"With --url that gateway first gets what a running one has stored. The exit code is 0 when the push would be\n" +
			"kept, 3 when it would be refused.",
		ArgsUsage: "[FILE]",
		Flags: append(append(groupFlags(),
			&cli.StringFlag{Name: flagMethod, Value: "POST", Usage: "PUT, POST or DELETE."},
			&cli.StringFlag{Name: flagURL, Usage: "URL of a running gateway whose groups are there before the push. Empty for none."},
			&cli.StringFlag{Name: flagHTTPConfig, Usage: "File with TLS and authentication for that, as promtool reads it."},
		), serveFlags()...),
		Action: func(c *cli.Context) error {
			e, err := readExplain(c)
			if err != nil {
				return err
			}
			return e.run(c.Context, c.App.Writer)
		},
	}
}

// explanation is a push that is tried out.
type explanation struct {
	settings *settings
	push     client.Push
	grouping []client.Label
	stored   []client.Group

	server    *server
	kept      atomic.Uint64 // samples that are in the log
	receivers []*explained
}

// explained is what stands in the place of a destination.
type explained struct {
	label string
	mu    sync.Mutex
	lines bytes.Buffer
}

// Write implements io.Writer for the receiver.
func (x *explained) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.lines.Write(p)
}

// take returns what has come since the last time.
func (x *explained) take() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	text := x.lines.String()
	x.lines.Reset()
	return text
}

func readExplain(c *cli.Context) (*explanation, error) {
	e := &explanation{}
	r := flagReader{c: c}
	e.grouping = r.grouping()
	method := r.method()
	if err := r.err(); err != nil {
		return nil, err
	}
	var err error
	if e.settings, err = readSettings(c); err != nil {
		return nil, err
	}
	e.settings.alone()
	var body []byte
	if method != "DELETE" {
		if body, err = readInput(c.Args().First()); err != nil {
			return nil, err
		}
	}
	e.push = client.NewPush(method, e.grouping, body)
	if running := c.String(flagURL); running != "" {
		from, err := client.New(client.Options{URL: running, HTTPConfigFile: c.String(flagHTTPConfig), UserAgent: program})
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flagURL, err)
		}
		if e.stored, err = from.Groups(c.Context); err != nil {
			return nil, exitError{code: codeOf(err), err: fmt.Errorf("--%s: %w", flagURL, err)}
		}
	}
	return e, nil
}

// alone leaves of the settings what decides about pushes.
func (s *settings) alone() {
	s.listenAddresses, s.listenAddressFile, s.systemdSocket, s.webConfigFile = []string{"127.0.0.1:0"}, "", false, ""
	s.storagePath, s.persistenceFile, s.refreshInterval, s.tee.client = "", "", 0, nil
	s.stream.URLs, s.stream.Address = nil, ""
}

// run makes the gateway, and ends it.
func (e *explanation) run(ctx context.Context, w io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c, err := config.Load(ctx, e.settings.configFile, e.settings.remoteWriteURLs)
	if err != nil {
		return err
	}
	if len(c.Destinations) == 0 {
		d := remotewrite.DefaultConfig(&promconfig.URL{URL: &url.URL{Scheme: "http", Host: "nobody"}})
		d.Name = "a destination, if there were one"
		c.Destinations = append(c.Destinations, &d)
	}
	for _, d := range c.Destinations {
		if err := e.replace(ctx, d); err != nil {
			return err
		}
	}
	e.server = &server{settings: e.settings, untold: true, log: slog.New(slog.DiscardHandler)}
	if err := e.server.build(ctx, c); err != nil {
		return err
	}
	e.server.gateway.OnKept(func(r *group.Record) { e.kept.Add(uint64(r.Samples())) })
	ended := make(chan error, 1)
	go func() { ended <- e.server.run(ctx) }()
	err = e.explain(ctx, w)
	stop()
	return errors.Join(err, <-ended)
}

// replace puts a receiver in the place of a destination.
func (e *explanation) replace(ctx context.Context, d *remotewrite.Config) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	x := &explained{label: d.ID()}
	d.Name = x.label
	e.receivers = append(e.receivers, x)
	d.URL = &promconfig.URL{URL: &url.URL{Scheme: "http", Host: ln.Addr().String(), Path: "/receive"}}
	d.HTTPClient, d.SigV4, d.RoundRobinDNS, d.Headers = promconfig.DefaultHTTPClientConfig, nil, false, nil
	rc := receiver.New(receiver.Options{Protocols: []int{1, 2}, Output: x, Logger: slog.New(slog.DiscardHandler)})
	go func() { _ = rc.Serve(ctx, ln) }() // it ends with ctx
	return nil
}

func (e *explanation) explain(ctx context.Context, w io.Writer) error {
	if err := e.restore(ctx); err != nil {
		return err
	}
	for _, x := range e.receivers {
		x.take()
	}
	drops := e.dropped()
	key, how := e.target()
	if how != nil {
		fmt.Fprintf(w, "by a rule of the configuration, pushes are added up in group %s: %s\n", key, how)
	}
	was := e.server.gateway.State().Lookup(key)
	to, err := client.New(client.Options{URL: e.server.frontend.listeners[0].Addr().String() + e.settings.routePrefix, UserAgent: program})
	if err != nil {
		return err
	}
	answer := to.Do(ctx, e.push)
	if err := e.settle(ctx); err != nil {
		return err
	}
	e.printGroup(w, key, was, answer)
	if answer != nil {
		return exitError{code: codeOf(answer)}
	}
	after := e.dropped()
	for i, x := range e.receivers {
		x.print(w, drops[i], after[i])
	}
	return nil
}

// target is the group that the push changes, and how it is added to that; nil if it is not.
func (e *explanation) target() (group.Labels, *group.Aggregation) {
	key := group.NewLabels(groupingOf(e.grouping))
	how, _ := e.server.gateway.State().Rules().Aggregation(key)
	if how != nil {
		key = how.Key(key)
	}
	return key, how
}

// restore gives the gateway what another one has stored.
func (e *explanation) restore(ctx context.Context) error {
	target, how := e.target()
	var changes []group.Change
	for _, g := range e.stored {
		labels := make([]group.Label, 0, len(g.Labels))
		for name, value := range g.Labels {
			labels = append(labels, group.Label{Name: name, Value: value})
		}
		c := group.Change{Kind: group.KindPut, Labels: group.NewLabels(labels)}
		if e.push.Method == "POST" && c.Labels.ID() == target.ID() {
			c.How = how
		}
		var err error
		if c.Part, err = partOf(g, c.How != nil); err != nil {
			return fmt.Errorf("--%s: %w", flagURL, err)
		}
		changes = append(changes, c)
	}
	if err := e.take(ctx, changes); err != nil {
		return fmt.Errorf("--%s: %w", flagURL, err)
	}
	return e.settle(ctx)
}

// take carries out changes. What can be no sum is from before the rule.
func (e *explanation) take(ctx context.Context, changes []group.Change) error {
	var refused []error
	var before []group.Change
	err := e.server.gateway.Import(ctx, changes, time.Now(), func(c group.Change, err error) {
		if c.How == nil {
			refused = append(refused, err)
			return
		}
		c.How = nil
		before = append(before, c)
	})
	if len(before) > 0 {
		err = errors.Join(err, e.take(ctx, before))
	}
	return errors.Join(append(refused, err)...)
}

// partOf makes what was pushed of what is shown. What is known by its labels only cannot be
// added to.
func partOf(g client.Group, sum bool) (*group.Part, error) {
	families := g.Families
	if sum {
		families = slices.DeleteFunc(slices.Clone(families), func(mf *dto.MetricFamily) bool { return g.Native[mf.GetName()] })
	}
	return group.FromDTO(families, group.BuildOptions{})
}

func groupingOf(labels []client.Label) []group.Label {
	out := make([]group.Label, len(labels))
	for i, l := range labels {
		out[i] = group.Label(l)
	}
	return out
}

// settle waits until the receivers have what there is.
func (e *explanation) settle(ctx context.Context) error {
	for _, one := range e.server.destinations.list() {
		for {
			if b := one.sender.Status().Books; b.Accepted >= e.kept.Load() && b.Pending == 0 {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
	}
	return nil
}

// dropped returns what was not sent, by destination and reason.
func (e *explanation) dropped() (out []map[string]uint64) {
	for _, one := range e.server.destinations.list() {
		out = append(out, one.sender.Status().Books.Dropped)
	}
	return out
}

func (e *explanation) printGroup(w io.Writer, key group.Labels, was *group.Group, answer error) {
	fmt.Fprintf(w, "%s to group %s, which %s\n", e.push.Method, key, choose(was == nil, "is not there", "is there"))
	if answer != nil {
		fmt.Fprintf(w, "  would be %v\n", answer)
		return
	}
	now := e.server.gateway.State().Lookup(key)
	if now == nil {
		fmt.Fprintln(w, "  would be kept: there is no group then")
		return
	}
	fmt.Fprintf(w, "  would be kept: the group then has %d families with %d samples\n", len(now.Members), now.Samples())
	for _, m := range now.Members {
		fmt.Fprintf(w, "  %s %s, %d metrics\n", m.Of().Type, m.Of().Name, len(m.Metrics()))
	}
}

// print says what arrived in the place of a destination.
func (x *explained) print(w io.Writer, before, after map[string]uint64) {
	output := x.take()
	fmt.Fprintf(w, "sent to %s:\n", x.label)
	for line := range strings.Lines(output) {
		if series, ends := strings.CutSuffix(line, " stale\n"); ends {
			line = "ends " + series + "\n"
		}
		fmt.Fprint(w, "  ", line)
	}
	if output == "" {
		fmt.Fprintln(w, "  nothing")
	}
	for _, reason := range slices.Sorted(maps.Keys(after)) {
		if n := after[reason] - before[reason]; n > 0 {
			fmt.Fprintf(w, "  not sent: %d, %s\n", n, reason)
		}
	}
}
