package main

import (
	"fmt"

	"github.com/prometheus/common/version"
	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/client"
)

// diffCommand is `pushbridge diff`.
func diffCommand() *cli.Command {
	return &cli.Command{
		Name:  "diff",
		Usage: "Says in which groups the /metrics of two gateways differ.",
		Description: "Lines that begin with - are what the first one shows, + the second. Push times, and what the gateways show of\n" +
			"themselves, do not count. The exit code is 0 when they are the same, 1 when they differ, 4 when one is not reached.",
		ArgsUsage: "URL URL",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: flagHTTPConfig, Usage: "File with TLS and authentication for both, as promtool reads it."},
			&cli.StringFlag{Name: flagTelemetryPath, Value: "/metrics", Usage: "Path under which both expose metrics."},
		},
		Action: func(c *cli.Context) error {
			var views [2]client.View
			for i, raw := range c.Args().Slice() {
				from, err := client.New(client.Options{
					URL: raw, HTTPConfigFile: c.String(flagHTTPConfig), UserAgent: program + "/" + version.Version,
				})
				if err != nil {
					return usagef("%w", err)
				}
				if views[i], err = from.View(c.Context, c.String(flagTelemetryPath)); err != nil {
					return exitError{code: codeOf(err), err: fmt.Errorf("%s: %w", redact(raw), err)}
				}
			}
			first, second := redact(c.Args().Get(0)), redact(c.Args().Get(1))
			if n := client.Compare(c.App.Writer, views[0], views[1], first, second); n > 0 {
				return exitError{code: 1, err: fmt.Errorf("%d groups differ", n)}
			}
			return nil
		},
	}
}
