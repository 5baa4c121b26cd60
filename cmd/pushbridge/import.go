package main

import (
	"errors"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/client"
)

const flagWatch = "watch"

// importCommand is `pushbridge import`.
func importCommand() *cli.Command {
	return &cli.Command{
		Name:  "import",
		Usage: "Pushes the *.prom files of a directory, as node_exporter's textfile collector has them, each as a group of its own.",
		Description: "The job of a group is the file's name without .prom. With --job it is that, and the name is in the label textfile.\n" +
			"OpenMetrics with several points of a metric is pushed one after the other, the oldest first: the gateway needs\n" +
			"--push.accept-timestamps.\n" +
			"A file that is refused is named, and left as it is. The exit code is 0 when all are kept, 3 when one was refused,\n" +
			"4 when the gateway was not reached.",
		ArgsUsage: "DIR",
		Flags: append(clientFlags(),
			&cli.BoolFlag{Name: flagWatch, Usage: "Go on, and push what changes. The group of a file that goes is deleted."},
		),
		Action: func(c *cli.Context) error {
			t, err := readImport(c)
			if err != nil {
				return err
			}
			if c.Bool(flagWatch) {
				ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
				defer stop()
				return t.Watch(ctx)
			}
			if err := t.Push(c.Context); err != nil {
				return importError(err)
			}
			return nil
		},
	}
}

func readImport(c *cli.Context) (*client.Textfiles, error) {
	var s clientSettings
	r := flagReader{c: c}
	s.readClient(&r)
	job, pairs := c.String(flagJob), c.StringSlice(flagGrouping)
	if _, err := client.NewGrouping("job", append(pairs, textfileLabel+"=x")); err != nil {
		r.fail(flagGrouping, err)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return &client.Textfiles{
		Client: s.client, Dir: c.Args().First(), Timeout: s.timeout, Say: say(c),
		Grouping: func(name string) []client.Label {
			if job == "" {
				grouping, _ := client.NewGrouping(name, pairs) // checked above
				return grouping
			}
			grouping, _ := client.NewGrouping(job, append(slices.Clip(pairs), textfileLabel+"="+name))
			return grouping
		},
	}, nil
}

// textfileLabel tells the files of one job apart.
const textfileLabel = "textfile"

// importError is that of several files, which have been named already. An answer that
// may be another one next time says more than one that will not.
func importError(err error) error {
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		return exitError{code: codeUnreachable}
	}
	if _, ok := errors.AsType[*client.RefusedError](err); ok {
		return exitError{code: codeRefused}
	}
	return err
}
