package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/client"
	"github.com/pushbridge/pushbridge/job"
)

const (
	flagSpool         = "spool"
	flagSpoolMaxBytes = "spool.max-bytes"
	flagStrict        = "strict"
)

// execCommand is `pushbridge exec`.
func execCommand() *cli.Command {
	return &cli.Command{
		Name:        "exec",
		Usage:       "Runs a command as if it stood there alone, and pushes when it began and ended, and how.",
		Description: execDescription,
		ArgsUsage:   "COMMAND...",
		Flags: append(clientFlags(),
			&cli.StringFlag{
				Name:  flagSpool,
				Usage: "Directory for what cannot be pushed. The next run sends it, before anything of its own. Empty for none.",
			},
			&cli.StringFlag{
				Name: flagSpoolMaxBytes, Value: "64MiB",
				Usage: "Bound of that directory. At the bound the oldest pushes go.",
			},
			&cli.BoolFlag{
				Name:  flagStrict,
				Usage: "End with 3 when the gateway refuses, and with 4 when it is not reached, if the command itself succeeds.",
			},
		),
		Action: func(c *cli.Context) error {
			s, err := readExec(c)
			if err != nil {
				return err
			}
			return s.run(c, c.Args().Slice())
		},
	}
}

const execDescription = `The exit code is the command's: 128 and the number of the signal that it died of, 126 when
it cannot be executed, 127 when it is not found. The gateway being away changes nothing of
that but for --strict, and takes at most --push-timeout after the command has ended.
What the command writes to the file that $` + job.MetricsVariable + ` names is pushed too: Pushgateway's
text format, or OpenMetrics if its last line is # EOF.
docs/jobs.md has the names of the metrics.`

// execSettings are what the flags of exec say.
type execSettings struct {
	clientSettings
	spool  *client.Spool
	strict bool
}

func readExec(c *cli.Context) (s execSettings, err error) {
	r := flagReader{c: c}
	s.read(&r)
	s.strict = c.Bool(flagStrict)
	maxBytes := r.bytes(flagSpoolMaxBytes, 1)
	if err := r.err(); err != nil {
		return s, err
	}
	if dir := c.String(flagSpool); dir != "" {
		s.spool, err = client.OpenSpool(dir, maxBytes)
	}
	if err != nil {
		// The command is worth more than what can be said of it.
		say(c)("--%s: %v: what cannot be pushed will be lost", flagSpool, err)
	}
	return s, nil
}

func (s *execSettings) run(c *cli.Context, args []string) error {
	signals := job.Catch()
	env, file, remove := metricsFile(say(c))
	defer remove()
	reporter := job.NewReporter(job.Options{
		Client: s.client, Grouping: s.grouping, Spool: s.spool, Timeout: s.timeout, Say: say(c),
	})
	result := job.Run(args, env, signals, reporter.Begin())
	if result.Err != nil {
		say(c)("%v", result.Err)
	}
	err := reporter.Ended(signals.Until(c.Context), result, file)
	if result.Code == 0 && s.strict && err != nil {
		return exitError{code: codeOf(err)}
	}
	if result.Code != 0 {
		return exitError{code: result.Code}
	}
	return nil
}

// metricsFile makes the file that the command may write metrics to.
func metricsFile(say func(string, ...any)) (env []string, file string, remove func()) {
	f, err := os.CreateTemp("", "pushbridge-*.prom")
	if err != nil {
		say("$%s: %v", job.MetricsVariable, err)
		return os.Environ(), "", func() {}
	}
	if err := f.Close(); err != nil {
		say("$%s: %v", job.MetricsVariable, err)
	}
	remove = func() {
		if err := os.Remove(f.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
			say("$%s: %v", job.MetricsVariable, err)
		}
	}
	return append(os.Environ(), job.MetricsVariable+"="+f.Name()), f.Name(), remove
}

// say returns what a command says of itself beside its output.
func say(c *cli.Context) func(format string, args ...any) {
	return func(format string, args ...any) {
		fmt.Fprintf(c.App.ErrWriter, program+": "+format+"\n", args...)
	}
}
