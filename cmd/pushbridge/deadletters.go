package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/common/version"
	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/client"
	"github.com/pushbridge/pushbridge/deadletter"
	"github.com/pushbridge/pushbridge/remotewrite"
)

const flagDestination = "destination"

const deadLettersDescription = `What a receiver has refused for good is kept, with what it said, within
--storage.dead-letters. Mend the receiver, then replay: what it takes now moves from
dropped to delivered, the rest stays. The argument is a storage directory, also of a
running pushbridge, or the URL of one.`

// deadLettersCommand is `pushbridge dead-letters`.
func deadLettersCommand() *cli.Command {
	command := func(name, usage string, do func(*cli.Context, lettersPlace) error) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, Description: deadLettersDescription, ArgsUsage: "DIR|URL",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: flagDestination, Usage: "Only those of this destination."},
				&cli.StringFlag{Name: flagHTTPConfig, Usage: "File with TLS and authentication for the URL, as promtool reads it."},
			},
			Action: func(c *cli.Context) error {
				return do(c, lettersPlace{at: c.Args().First(), destination: c.String(flagDestination), config: c.String(flagHTTPConfig)})
			},
		}
	}
	return &cli.Command{
		Name:  "dead-letters",
		Usage: "Shows what receivers have refused for good, and sends it once more.",
		Subcommands: []*cli.Command{
			command("list", "Lists them, with reasons and what the receivers said.", listLetters),
			command("export", "Prints their samples, one JSON document a line.", exportLetters),
			command("replay", "Has them sent once more by the pushbridge that has them; with a DIR also by its next start.", replayLetters),
		},
	}
}

// lettersPlace is where letters are.
type lettersPlace struct{ at, destination, config string }

func (p lettersPlace) remote() bool {
	return strings.HasPrefix(p.at, "http://") || strings.HasPrefix(p.at, "https://")
}

// view reads those of a directory.
func (p lettersPlace) view() (*deadletter.Store, error) {
	s, err := deadletter.View(p.at)
	if err == nil && s.Empty() {
		err = fmt.Errorf("%s holds no dead letters, and never did", p.at)
	}
	return s, err
}

// ask sends a request to the API and returns the body of its answer.
func (p lettersPlace) ask(ctx context.Context, method, path string) (io.ReadCloser, error) {
	c, err := client.New(client.Options{URL: p.at, HTTPConfigFile: p.config, UserAgent: program + "/" + version.Version})
	if err != nil {
		return nil, err
	}
	query := url.Values{"destination": {p.destination}}
	if path == "" {
		query.Set("limit", "10000")
	}
	return c.Ask(ctx, client.Request{Method: method, Path: lettersPath + path + "?" + query.Encode()})
}

// letters are those of the place, without samples.
func (p lettersPlace) letters(ctx context.Context) (all []deadletter.Letter, sums []deadletter.Summary, err error) {
	if !p.remote() {
		s, err := p.view()
		if err != nil {
			return nil, nil, err
		}
		err = s.Each(p.destination, func(l deadletter.Letter) error {
			l.Body = nil
			all = append(all, l)
			return nil
		})
		return all, s.Summaries(), err
	}
	body, err := p.ask(ctx, http.MethodGet, "")
	if err != nil {
		return nil, nil, err
	}
	var answer struct {
		Data struct {
			Destinations []deadletter.Summary
			Letters      []deadletter.Letter
		}
	}
	err = json.NewDecoder(body).Decode(&answer)
	return answer.Data.Letters, answer.Data.Destinations, errors.Join(err, body.Close())
}

func listLetters(c *cli.Context, p lettersPlace) error {
	letters, sums, err := p.letters(c.Context)
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "DESTINATION\tLETTERS\tSAMPLES\tDELIVERED AFTER ALL\tLOST TO THE BOUND")
	for _, s := range sums {
		if p.destination != "" && s.Destination != p.destination {
			continue
		}
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\n", s.Destination, s.Letters, deadletter.Total(s.Samples), deadletter.Total(s.Redeemed), s.Evicted)
	}
	if len(letters) > 0 {
		fmt.Fprintln(out, "\nLETTER\tDESTINATION\tGIVEN UP\tSAMPLES\tREASON\tSTATUS\tGROUP\tANSWER")
	}
	for i := range letters {
		l := &letters[i]
		fmt.Fprintf(out, "%d\t%s\t%s\t%d\t%s\t%d\t%s\t%q\n", l.ID, l.Destination, l.Time.UTC().Format(time.RFC3339), l.Samples, l.Reason, l.Status, l.Group, l.Text)
	}
	return out.Flush()
}

func exportLetters(c *cli.Context, p lettersPlace) error {
	if !p.remote() {
		s, err := p.view()
		if err != nil {
			return err
		}
		return s.Each(p.destination, func(l deadletter.Letter) error { return remotewrite.ExportLetter(c.App.Writer, l) })
	}
	body, err := p.ask(c.Context, http.MethodGet, "/export")
	if err != nil {
		return err
	}
	_, err = io.Copy(c.App.Writer, body)
	return errors.Join(err, body.Close())
}

// replayPatience is how long a running gateway has to take a request up: it looks once a
// second.
const replayPatience = 5 * time.Second

func replayLetters(c *cli.Context, p lettersPlace) error {
	if p.remote() {
		body, err := p.ask(c.Context, http.MethodPost, "/replay")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.App.Writer, "dead letters are being sent once more; dead-letters list shows what is left")
		return errors.Join(err, body.Close())
	}
	s, err := p.view()
	if err != nil {
		return err
	}
	of := func(x deadletter.Summary) bool { return x.Destination == p.destination }
	if p.destination != "" && !slices.ContainsFunc(s.Summaries(), of) {
		return fmt.Errorf("%s holds no dead letters of destination %q, and never did", p.at, p.destination)
	}
	if err := deadletter.Ask(p.at, p.destination); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(c.Context, replayPatience)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadletter.Waiting(p.at) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			_, err := fmt.Fprintln(c.App.Writer, "no pushbridge is running there: dead letters will be sent once more by the next start")
			return err
		}
	}
	_, err = fmt.Fprintln(c.App.Writer, "dead letters are being sent once more; dead-letters list shows what is left")
	return err
}
