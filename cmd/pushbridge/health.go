package main

import (
	"time"

	"github.com/prometheus/common/version"
	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/client"
)

const (
	flagReady         = "ready"
	flagHealthTimeout = "timeout"
)

// healthCommand is `pushbridge health`, for containers in which there is no other client.
func healthCommand() *cli.Command {
	return &cli.Command{
		Name:  "health",
		Usage: "Asks a gateway whether it is healthy. The exit code is 0 or 1.",
		Description: "A gateway whose disk is full is healthy, since no restart would help, and not ready.\n" +
			"Where a password is asked for, --web.health-without-auth of the gateway saves giving it here.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: flagURL, Value: defaultURL, Usage: "The gateway, with its route prefix."},
			&cli.StringFlag{Name: flagHTTPConfig, Usage: "File with TLS and authentication, as promtool reads it."},
			&cli.StringFlag{Name: flagHealthTimeout, Value: "5s", Usage: "How long to wait for the answer."},
			&cli.BoolFlag{Name: flagReady, Usage: "Ask whether pushes are taken."},
		},
		Action: func(c *cli.Context) error {
			asked, path, err := readHealth(c)
			if err != nil {
				return err
			}
			return asked.Check(c.Context, path)
		},
	}
}

func readHealth(c *cli.Context) (asked *client.Client, path string, err error) {
	r := flagReader{c: c}
	timeout := r.duration(flagHealthTimeout, time.Millisecond)
	asked, err = client.New(client.Options{
		URL: c.String(flagURL), HTTPConfigFile: c.String(flagHTTPConfig), AttemptTimeout: timeout,
		UserAgent: program + "/" + version.Version,
	})
	if err != nil {
		r.fail(choose(c.String(flagHTTPConfig) == "", flagURL, flagHTTPConfig), err)
	}
	return asked, choose(c.Bool(flagReady), readyPath, healthyPath), r.err()
}
