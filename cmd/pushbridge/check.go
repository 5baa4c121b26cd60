package main

import (
	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/config"
)

const (
	flagSyntaxOnly = "syntax-only"
	flagProbe      = "probe"
)

// checkConfigCommand is `pushbridge check-config`.
func checkConfigCommand() *cli.Command {
	return &cli.Command{
		Name:      "check-config",
		Usage:     "Says whether a configuration file can be used, and what is wrong with it. The exit code is 0 or 1.",
		ArgsUsage: "FILE",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: flagSyntaxOnly, Usage: "Do not look for the files that it names, as passwords and certificates."},
			&cli.BoolFlag{Name: flagProbe, Usage: "Send each destination an empty request, which stores nothing, and say what it answers."},
		},
		Action: func(c *cli.Context) error {
			return config.Check(c.Context, c.App.Writer, c.Args().First(),
				config.Checks{Files: !c.Bool(flagSyntaxOnly), Probe: c.Bool(flagProbe)})
		},
	}
}
