package main

import (
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/remotewrite"
)

const flagSyntaxOnly = "syntax-only"

// checkConfigCommand is `pushbridge check-config`.
func checkConfigCommand() *cli.Command {
	return &cli.Command{
		Name:      "check-config",
		Usage:     "Says whether a configuration file can be used, and what is wrong with it. The exit code is 0 or 1.",
		ArgsUsage: "FILE",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: flagSyntaxOnly, Usage: "Do not look for the files that it names, as passwords and certificates."},
		},
		Action: func(c *cli.Context) error {
			return checkConfig(c.App.Writer, c.Args().First(), !c.Bool(flagSyntaxOnly))
		},
	}
}

func checkConfig(w io.Writer, file string, files bool) error {
	c, err := loadConfig(file, nil)
	if err != nil {
		return err
	}
	for _, d := range c.destinations {
		if !files {
			break
		}
		if err := checkFiles(d); err != nil {
			return fmt.Errorf("configuration file %s: %w", file, err)
		}
	}
	fmt.Fprintf(w, "%s can be used\n", file)
	for _, d := range c.destinations {
		fmt.Fprintf(w, "  sends to %s: %s\n", d.Label(), d.Redacted())
	}
	if len(c.destinations) == 0 {
		fmt.Fprintln(w, "  sends to nobody: there is no remote_write section")
	}
	for i := range c.rules {
		fmt.Fprintf(w, "  rule %d: %s\n", i+1, describeRule(&c.rules[i]))
	}
	if !c.externalLabels.IsEmpty() {
		fmt.Fprintf(w, "  external labels %s\n", c.externalLabels)
	}
	for _, variable := range c.unset {
		fmt.Fprintf(w, "  external labels: the environment variable %s is empty\n", variable)
	}
	for _, key := range c.ignored {
		fmt.Fprintf(w, "  without effect here: %s\n", key)
	}
	return nil
}

// checkFiles looks for what a section names and nobody would miss before the
// first request: files with secrets, and certificates that fit together.
func checkFiles(d *remotewrite.Config) error {
	var names []string
	h := d.HTTPClient
	if h.BasicAuth != nil {
		names = append(names, h.BasicAuth.UsernameFile, h.BasicAuth.PasswordFile)
	}
	if h.Authorization != nil {
		names = append(names, h.Authorization.CredentialsFile)
	}
	if h.OAuth2 != nil {
		names = append(names, h.OAuth2.ClientSecretFile)
	}
	if h.HTTPHeaders != nil {
		for _, header := range h.HTTPHeaders.Headers {
			names = append(names, header.Files...)
		}
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("destination %s: %w", d.Label(), err)
		}
	}
	return remotewrite.Check(*d)
}
