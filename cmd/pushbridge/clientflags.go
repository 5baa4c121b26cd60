package main

import (
	"errors"
	"time"

	"github.com/prometheus/common/version"
	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/client"
)

// The flags of the commands that push.
const (
	flagURL         = "url"
	flagJob         = "job"
	flagGrouping    = "grouping"
	flagHTTPConfig  = "http.config.file"
	flagPushTimeout = "push-timeout"
)

// The exit codes of the commands that push, for scripts.
const (
	codeRefused     = 3 // the same push will be refused again
	codeUnreachable = 4 // nobody has answered: kept or not
	codeUndelivered = 5 // kept, but not at all destinations in time
)

const defaultURL = "http://localhost:9091"

// clientFlags are those that say where to push, and as which group.
func clientFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: flagURL, Value: defaultURL, Usage: "The gateway, with its route prefix."},
		&cli.StringFlag{Name: flagHTTPConfig, Usage: "File with TLS and authentication, as promtool reads it."},
		&cli.StringFlag{Name: flagPushTimeout, Value: "10s", Usage: "How long to try again when the gateway cannot be reached or is busy."},
	}, groupFlags()...)
}

func groupFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagJob, Usage: "The job, first label of the group."},
		&cli.StringSliceFlag{Name: flagGrouping, Usage: "Another label of the group, as instance=host1. Repeatable."},
	}
}

// clientSettings are what those flags say.
type clientSettings struct {
	client   *client.Client
	grouping []client.Label
	timeout  time.Duration
	wait     time.Duration // for the delivery; 0: none
}

func (s *clientSettings) read(r *flagReader) {
	s.grouping = r.grouping()
	s.readClient(r)
}

func (s *clientSettings) readClient(r *flagReader) {
	s.timeout = r.duration(flagPushTimeout, 0)
	var err error
	s.client, err = client.New(client.Options{
		URL: r.c.String(flagURL), HTTPConfigFile: r.c.String(flagHTTPConfig), AttemptTimeout: min(s.timeout, 10*time.Second) + s.wait,
		UserAgent: program + "/" + version.Version,
	})
	if err != nil {
		r.fail(choose(r.c.String(flagHTTPConfig) == "", flagURL, flagHTTPConfig), err)
	}
}

// grouping reads the labels of the group.
func (r *flagReader) grouping() []client.Label {
	if r.c.String(flagJob) == "" {
		r.fail(flagJob, errors.New("must be given"))
		return nil
	}
	grouping, err := client.NewGrouping(r.c.String(flagJob), r.c.StringSlice(flagGrouping))
	if err != nil {
		r.fail(flagGrouping, err)
	}
	return grouping
}

// codeOf is the exit code for a push that was not kept.
func codeOf(err error) int {
	if _, ok := errors.AsType[*client.RefusedError](err); ok {
		return codeRefused
	}
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		return codeUnreachable
	}
	if _, ok := errors.AsType[*client.UndeliveredError](err); ok {
		return codeUndelivered
	}
	return 1
}

// exitError ends the process with a code of its own, and says err if there is one.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }
