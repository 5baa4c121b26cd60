package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/deadletter"
	"github.com/pushbridge/pushbridge/queue/disk"
	"github.com/pushbridge/pushbridge/remotewrite"
)

const (
	flagJSON     = "json"
	flagInterval = "interval"
)

// queueCommand is `pushbridge queue`.
func queueCommand() *cli.Command {
	return &cli.Command{
		Name:  "queue",
		Usage: "Looks at a storage directory, and drops what nobody wants any more.",
		Subcommands: []*cli.Command{{
			Name:        "inspect",
			Usage:       "Lists segments, snapshots, where destinations are and what became of their samples, and damage.",
			Description: inspectDescription,
			ArgsUsage:   "DIR",
			Flags: []cli.Flag{
				&cli.BoolFlag{Name: flagJSON, Usage: "Print JSON."},
				&cli.BoolFlag{Name: flagWatch, Usage: "Look again and again, until interrupted, and tell how fast destinations get on."},
				&cli.StringFlag{Name: flagInterval, Value: "2s", Usage: "With --watch: how often to look."},
			},
			Action: func(c *cli.Context) error {
				i := inspection{w: c.App.Writer, dir: c.Args().First(), json: c.Bool(flagJSON)}
				if !c.Bool(flagWatch) {
					return i.look()
				}
				return i.watch(c.Context, c.String(flagInterval))
			},
		}, forgetCommand()},
	}
}

const inspectDescription = `It reads everything, changes nothing and takes no lock: DIR may belong to a
running pushbridge, whose newest segment can then seem torn, or be a copy.
The exit code is 1 when something is damaged. A torn end is what a crash
leaves; nobody was told that it was kept, and it counts as no damage.`

// inspection is one command.
type inspection struct {
	w    io.Writer
	dir  string
	json bool
}

// look inspects the directory once.
func (i *inspection) look() error {
	now, err := i.read()
	if err != nil {
		return err
	}
	return i.show(now, nil)
}

// looked is what was seen at one moment.
type looked struct {
	*disk.Report
	at    time.Time
	notes map[string]note
}

func (i *inspection) read() (*looked, error) {
	r, err := disk.Inspect(i.dir)
	if err != nil {
		return nil, err
	}
	r.Other = slices.DeleteFunc(r.Other, keptBeside)
	notes, err := readNotes(filepath.Join(i.dir, notesName))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", notesName, err)
	}
	return &looked{r, time.Now(), notes}, nil
}

// show prints what was seen. The error says that something is damaged.
func (i *inspection) show(now, before *looked) error {
	show := printReport
	if i.json {
		show = printReportJSON
	}
	if err := show(i.w, now, before); err != nil {
		return err
	}
	damaged := 0
	for _, d := range now.Damage {
		if !d.Torn {
			damaged++
		}
	}
	if damaged > 0 {
		return fmt.Errorf("%s: %d damaged ranges", i.dir, damaged)
	}
	return nil
}

// keptBeside reports whether a file of the directory is not the log's but ours all
// the same.
func keptBeside(name string) bool {
	return name == namingsName || name == hashesName || name == notesName || name == deadletter.Dir
}

func printReportJSON(w io.Writer, now, before *looked) error {
	r := now.Report
	type cursor struct {
		disk.CursorReport
		URL   string             `json:"url,omitempty"`
		State string             `json:"state"`
		Lag   float64            `json:"lag_seconds"`
		Rate  *float64           `json:"settled_per_second,omitempty"`
		Books *remotewrite.Books `json:"books,omitempty"`
	}
	out := struct {
		*disk.Report
		Cursors []cursor `json:"cursors"` // instead of the report's
	}{Report: r}
	for i := range r.Cursors {
		c := &r.Cursors[i]
		out.Cursors = append(out.Cursors, cursor{
			*c, now.notes[c.ID].URL, now.stateOf(c), now.lagOf(c).Seconds(), now.rateOf(c, before), booksOf(r, c),
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}

// booksOf returns what became of all samples of a destination since it began, nil
// when its file does not say.
func booksOf(r *disk.Report, c *disk.CursorReport) *remotewrite.Books {
	if c.Ledger == nil {
		return nil
	}
	b := remotewrite.BooksOf(c.Ledger, r.Total)
	if s, err := deadletter.View(r.Dir); err == nil { // else what was delivered late counts as dropped
		b.Redeem(s.Redeemed(c.ID))
	}
	return &b
}

// printReport prints what an operator asks first at the top, and each list as a
// table below.
func printReport(w io.Writer, now, before *looked) error {
	r := now.Report
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "%s: store %s\n", r.Dir, r.Store)
	if r.Opened != "" {
		fmt.Fprintf(out, "opened last by %s\n", r.Opened)
	}
	fmt.Fprintf(out, "records %s, %d in all, %d samples, %s\n", span(r.First, r.Last), r.Records, r.Samples, sizeOf(r.Bytes))
	printDestinations(out, now, before)
	printCursors(out, r.Cursors)
	printBooks(out, r)
	printSegments(out, r.Segments)
	printSnapshots(out, r.Snapshots)
	printDamage(out, r.Damage)
	for _, name := range r.Other {
		fmt.Fprintf(out, "\nnot read: %s", name)
	}
	if len(r.Other) > 0 {
		fmt.Fprintln(out)
	}
	return out.Flush()
}

func printCursors(w io.Writer, cursors []disk.CursorReport) {
	if len(cursors) == 0 {
		return
	}
	fmt.Fprintln(w, "\nPOSITION\tPENDING RECORDS\tPENDING SAMPLES\tMISSING RECORDS\tOLDEST UNSENT\tFROM\tCLOSED\tNOT CONFIGURED SINCE\tACKNOWLEDGED/SENT BY SHARD")
	for _, c := range cursors {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t", c.ID, c.PendingRecords, c.PendingSamples, c.MissingRecords,
			seqOf(c.OldestUnsent), timeOf(c.OldestTime), choose(c.Clean, "yes", "no"), timeOf(c.Orphaned))
		for i, p := range c.Shards {
			fmt.Fprintf(w, "%s%d/%d", choose(i > 0, " ", ""), p.Acked, p.Sent)
		}
		fmt.Fprintln(w)
	}
}

func printBooks(w io.Writer, r *disk.Report) {
	if len(r.Cursors) == 0 {
		return
	}
	fmt.Fprintln(w, "\nSAMPLES SINCE THE BEGINNING\tACCEPTED\tDELIVERED\tIN DOUBT\tPENDING\tDROPPED")
	for i := range r.Cursors {
		c := &r.Cursors[i]
		b := booksOf(r, c)
		if b == nil {
			fmt.Fprintf(w, "%s\tnot known: written by an older version\n", c.ID)
			continue
		}
		dropped := choose(len(b.Dropped) == 0, "0", strings.Join(b.Reasons(), ", "))
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\n", c.ID, b.Accepted, b.Delivered, b.InDoubt, b.Pending, dropped)
	}
}

func printSegments(w io.Writer, segments []disk.SegmentReport) {
	if len(segments) == 0 {
		fmt.Fprintln(w, "\nno segments")
		return
	}
	fmt.Fprintln(w, "\nSEGMENT\tSEQUENCES\tRECORDS\tSAMPLES\tSIZE\tSTATE\tNEWEST\tFAILED BEFORE")
	for _, s := range segments {
		failed := "-"
		if s.FailedTo > 0 {
			failed = span(s.FailedFrom, s.FailedTo)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", s.File, span(s.First, s.Last), s.Records, s.Samples,
			sizeOf(s.Bytes), choose(s.Sealed, "sealed", "open"), timeOf(s.Newest), failed)
	}
}

func printSnapshots(w io.Writer, snapshots []disk.SnapshotReport) {
	if len(snapshots) == 0 {
		fmt.Fprintln(w, "\nno snapshots")
		return
	}
	fmt.Fprintln(w, "\nSNAPSHOT\tUP TO\tSIZE\tSTATE\tMADE")
	for _, s := range snapshots {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", s.File, s.Seq, sizeOf(s.Bytes), choose(s.Good, "good", "damaged"), timeOf(s.Created))
	}
}

func printDamage(w io.Writer, damage []disk.DamageReport) {
	if len(damage) == 0 {
		fmt.Fprintln(w, "\nno damage")
		return
	}
	fmt.Fprintln(w, "\nDAMAGE\tOFFSET\tLENGTH\tSEQUENCES\tSAMPLES\tWHAT")
	for _, d := range damage {
		what := d.Problem
		if d.Torn {
			what = "torn end, as a crash leaves it: " + what
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d\t%s\n", d.File, d.Offset, d.Length, span(d.First, d.Last), d.Samples, what)
	}
}

// span prints a range of sequences; there is no sequence 0.
func span(first, last uint64) string {
	switch {
	case last == 0 || last < first:
		return "-"
	case first == last:
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

func seqOf(seq uint64) string { return span(seq, seq) }

func timeOf(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// sizeOf prints bytes in the largest unit that leaves a whole part.
func sizeOf(n int64) string {
	value, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

func choose(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
