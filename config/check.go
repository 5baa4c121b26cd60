package config

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pushbridge/pushbridge/remotewrite"
)

// Checks say how far Check goes.
type Checks struct {
	Files bool // look at those that the file names, as passwords and certificates
	Probe bool // ask each destination
}

// Check says on w what the configuration file means, or in its error why it cannot
// be used.
func Check(ctx context.Context, w io.Writer, file string, how Checks) error {
	c, err := Load(ctx, file, nil)
	if err != nil {
		return err
	}
	var wrong problems
	for i, d := range c.Destinations {
		if how.Files {
			wrong.add(c.lines[i], checkFiles(d))
		}
	}
	if err := wrong.err(); err != nil {
		return fmt.Errorf("configuration file %s: %w", file, err)
	}
	fmt.Fprintf(w, "%s can be used\n", file)
	for _, d := range c.Destinations {
		fmt.Fprintf(w, "  sends to %s: %s\n", d.ID(), d.Redacted())
	}
	if len(c.Destinations) == 0 {
		fmt.Fprintln(w, "  sends to nobody: there is no remote_write section")
	}
	for i := range c.Rules {
		fmt.Fprintf(w, "  rule %d: %s\n", i+1, describeRule(&c.Rules[i]))
	}
	for i := range c.Jobs {
		fmt.Fprintf(w, "  job %d: %s\n", i+1, describeJob(&c.Jobs[i]))
	}
	if !c.ExternalLabels.IsEmpty() {
		fmt.Fprintf(w, "  external labels %s\n", c.ExternalLabels)
	}
	for _, variable := range c.Unset {
		fmt.Fprintf(w, "  external labels: the environment variable %s is empty\n", variable)
	}
	for _, key := range c.Ignored {
		fmt.Fprintf(w, "  without effect here: %s\n", key)
	}
	if !how.Probe {
		return nil
	}
	return probe(ctx, w, c.Destinations)
}

// probe says what each destination answers to an empty request, and returns an error when
// one of them would not take samples.
func probe(ctx context.Context, w io.Writer, destinations []*remotewrite.Config) error {
	var wrong []string
	for _, d := range destinations {
		a, err := remotewrite.Probe(ctx, *d)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  %s %s\n", d.ID(), a)
		if !a.Good {
			wrong = append(wrong, d.ID())
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("destinations that would not take samples now: %s", strings.Join(wrong, ", "))
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
			return fmt.Errorf("destination %s: %w", d.ID(), err)
		}
	}
	return remotewrite.Check(*d)
}
