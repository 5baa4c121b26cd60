package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/deadletter"
	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
	"github.com/pushbridge/pushbridge/queue/jetstream"
)

const flagTo = "to"

// Where a log can be moved to.
const (
	toStream    = "stream"
	toDirectory = "directory"
)

// migrateCommand is `pushbridge migrate`.
func migrateCommand() *cli.Command {
	return &cli.Command{
		Name:        "migrate",
		Usage:       "Moves the log from a storage directory to a stream of NATS JetStream, or back, while no gateway runs.",
		Description: migrateDescription,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: flagTo, Usage: "What to move to: stream or directory."},
			&cli.StringFlag{Name: flagStoragePath, Value: "data/", Usage: "The storage directory."},
		}, slices.DeleteFunc(streamFlags(""), func(f cli.Flag) bool {
			name := f.Names()[0]
			return strings.HasPrefix(name, "replica.") && name != flagReplicaLease
		})...),
		Action: func(c *cli.Context) error {
			m, err := readMigration(c)
			if err != nil {
				return err
			}
			return m.run(c.App.Writer)
		},
	}
}

const migrateDescription = `The state, the positions of destinations, their books and pauses, and what they
were not sent yet are moved, and the identity that push ids have. What is moved to must
be empty. In the end both sides are compared, and the one that was moved from is
marked: no gateway opens it any more, and nothing of it is changed or removed.
When it is cut short, neither was changed for good: the same command once more
brings it to its end. The exit code is 0 when everything was moved.`

// migration is one command.
type migration struct {
	gateway.Migration
	dir    string
	stream jetstream.Options
	to     string
	paused int // destinations that are
}

// migrant is the name under which a migration leads a stream: it goes on where one was
// killed.
const migrant = "migrate"

func readMigration(c *cli.Context) (*migration, error) {
	s := &settings{storagePath: c.String(flagStoragePath)}
	r := &flagReader{c: c}
	s.readStream(r)
	m := &migration{dir: s.storagePath, stream: s.stream, to: c.String(flagTo)}
	m.stream.ID = migrant
	switch {
	case m.to != toStream && m.to != toDirectory:
		r.fail(flagTo, fmt.Errorf("must be %s or %s, is %q", toStream, toDirectory, m.to))
	case len(m.stream.URLs) == 0:
		r.fail(flagNATSURL, errors.New("must be given: it says where the stream is"))
	case m.dir == "":
		r.fail(flagStoragePath, errors.New("must not be empty"))
	}
	return m, r.err()
}

func (m *migration) run(w io.Writer) error {
	directory := func() queue.Movable { return disk.NewMovable(disk.Options{Dir: m.dir, MaxBytes: -1, MinFreeBytes: -1}) }
	stream := func() queue.Movable { return jetstream.NewMovable(m.stream) }
	m.From, m.Source, m.To, m.Target = directory, m.dir, stream, fmt.Sprintf("stream %q", m.stream.Stream)
	if m.to == toDirectory {
		m.From, m.To, m.Source, m.Target = m.To, m.From, m.Target, m.Source
	}
	m.Logger, m.Now, m.Carry = slog.New(slog.DiscardHandler), time.Now, m.carryPauses
	done, err := m.Run()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "moved from %s to %s: %d groups, %d destinations with their books, and %d records with %d samples for them\n",
		m.Source, m.Target, done.Groups, done.Destinations, done.Records, done.Samples)
	if m.paused > 0 {
		fmt.Fprintf(w, "destinations that are paused there, too: %d\n", m.paused)
	}
	fmt.Fprintln(w, "compared: state, positions, books and records are the same on both sides")
	fmt.Fprintf(w, "%s is marked as moved and stays as it is: no gateway opens it any more\n", m.Source)
	return m.tellWhatStays(w)
}

// carryPauses notes at one side which destinations an operator has paused at the other.
func (m *migration) carryPauses(from, to *gateway.Gateway) error {
	here, err := m.notesAt(from)
	if err != nil {
		return err
	}
	there, err := m.notesAt(to)
	if err != nil {
		return err
	}
	m.paused = 0
	for _, c := range from.Log().Cursors() {
		since := here.paused(c.ID)
		if !since.IsZero() {
			m.paused++
		}
		if since.Equal(there.paused(c.ID)) {
			continue
		}
		if err := there.pause(c.ID, since); err != nil {
			return fmt.Errorf("carry the pause of destination %q: %w", c.ID, err)
		}
	}
	return nil
}

// notesAt returns what is noted at one side of the destinations.
func (m *migration) notesAt(g *gateway.Gateway) (*notes, error) {
	if l := g.Log(); l.Shared() {
		return &notes{shared: l.Lease(), log: m.Logger}, nil
	}
	n := &notes{file: filepath.Join(m.dir, notesName), log: m.Logger}
	var err error
	if n.of, err = readNotes(n.file); err != nil {
		return nil, fmt.Errorf("read which destinations are paused: %s: %w", n.file, err)
	}
	return n, nil
}

// tellWhatStays lists what is only in a directory.
func (m *migration) tellWhatStays(w io.Writer) error {
	if m.to != toStream {
		return nil
	}
	for name, what := range map[string]string{
		namingsName:    "names that series were sent under before relabelling changed",
		deadletter.Dir: "dead letters: see pushbridge dead-letters",
	} {
		if _, err := os.Stat(filepath.Join(m.dir, name)); err == nil {
			fmt.Fprintf(w, "%s stays: %s\n", filepath.Join(m.dir, name), what)
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
