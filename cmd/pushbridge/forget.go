package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/queue/disk"
)

// forgetCommand is `pushbridge queue forget`.
func forgetCommand() *cli.Command {
	return &cli.Command{
		Name:        "forget",
		Usage:       "Drops the position of a destination that will not come back, and what waits for it.",
		Description: forgetDescription,
		ArgsUsage:   "DIR DESTINATION",
		Action: func(c *cli.Context) error {
			return forget(c.Context, c.App.Writer, c.Args().Get(0), c.Args().Get(1))
		},
	}
}

const forgetDescription = `DESTINATION is the name that queue inspect shows. It works on the directory of
a running pushbridge, too, when the destination is not configured there; such
a pushbridge counts what is lost in pushbridge_queue_abandoned_samples_total.
The disk space comes back with the next segments that are removed.`

// forgetPatience is how long a running gateway has: it looks once a second.
const forgetPatience = 10 * time.Second

func forget(ctx context.Context, w io.Writer, dir, id string) error {
	r, err := disk.Inspect(dir)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(r.Cursors, func(c disk.CursorReport) bool { return c.ID == id })
	if i < 0 {
		return fmt.Errorf("%s knows no destination %q, only: %s", dir, id, destinationsOf(r))
	}
	c := &r.Cursors[i]
	ctx, stop := context.WithTimeout(ctx, forgetPatience)
	defer stop()
	if err := disk.Forget(ctx, dir, c); err != nil {
		return fmt.Errorf("forget destination %s: %w", id, err)
	}
	pending := c.PendingSamples
	if b := booksOf(r, c); b != nil {
		pending = b.Pending
	}
	_, err = fmt.Fprintf(w, "destination %s is forgotten, and %d samples that it was not sent\n", id, pending)
	return err
}

func destinationsOf(r *disk.Report) string {
	if len(r.Cursors) == 0 {
		return "none"
	}
	ids := make([]string, len(r.Cursors))
	for i := range r.Cursors {
		ids[i] = r.Cursors[i].ID
	}
	return strings.Join(ids, ", ")
}
