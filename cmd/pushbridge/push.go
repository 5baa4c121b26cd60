package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/client"
)

const (
	flagMethod = "method"
	flagGzip   = "gzip"
	flagWait   = "wait"
)

// pushCommand is `pushbridge push`.
func pushCommand() *cli.Command {
	return &cli.Command{
		Name:  "push",
		Usage: "Pushes a file, or what comes on the standard input.",
		Description: "The exit code is 0 when the gateway keeps the push, 3 when it refuses it, 4 when it was not reached or\n" +
			"stayed busy, 5 when it is kept and was not delivered within --wait, and 1 for anything else, as a flag that is\nwrong or a file that cannot be read.",
		ArgsUsage: "[FILE]",
		Flags: append(clientFlags(),
			&cli.StringFlag{
				Name: flagMethod, Value: http.MethodPost,
				Usage: "PUT replaces all metrics of the group, POST those of the same name, DELETE ends the group and reads nothing.",
			},
			&cli.BoolFlag{Name: flagGzip, Usage: "Send the body compressed."},
			&cli.StringFlag{Name: flagWait, Value: "0s", Usage: "Wait so long, at most 10m, until all destinations have it. 0 does not wait."},
		),
		Action: func(c *cli.Context) error {
			p, s, err := readPush(c)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context, s.timeout+s.wait)
			defer cancel()
			if err := s.client.Do(ctx, p); err != nil {
				return exitError{code: codeOf(err), err: advise(err)}
			}
			return nil
		},
	}
}

func readPush(c *cli.Context) (p client.Push, s clientSettings, err error) {
	r := flagReader{c: c}
	s.wait = r.duration(flagWait, 0)
	s.read(&r)
	method := r.method()
	if err := r.err(); err != nil {
		return p, s, err
	}
	var body []byte
	if method != http.MethodDelete {
		if body, err = readInput(c.Args().First()); err != nil {
			return p, s, err
		}
	}
	p = client.NewPush(method, s.grouping, body)
	p.Wait = s.wait
	if c.Bool(flagGzip) && method != http.MethodDelete {
		p.Body, p.Encoding = compress(body), "gzip"
	}
	return p, s, nil
}

func (r *flagReader) method() string {
	method := strings.ToUpper(r.c.String(flagMethod))
	switch method {
	case http.MethodPut, http.MethodPost, http.MethodDelete:
	default:
		r.fail(flagMethod, fmt.Errorf("must be PUT, POST or DELETE, is %q", r.c.String(flagMethod)))
	}
	return method
}

// readInput reads a file, or the standard input for none.
func readInput(file string) ([]byte, error) {
	if file == "" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(file)
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// advise adds to a refusal what the gateway does not know to say.
func advise(err error) error {
	refused, ok := errors.AsType[*client.RefusedError](err)
	if !ok {
		return err
	}
	switch refused.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w (--%s has passwords, tokens and certificates)", err, flagHTTPConfig)
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusNotFound, http.StatusMethodNotAllowed:
		return fmt.Errorf("%w (is --%s a gateway, with its route prefix?)", err, flagURL)
	case http.StatusBadRequest:
		return fmt.Errorf("%w (`%s explain` tries it out)", err, program)
	}
	return err
}
