package jetstream

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pushbridge/pushbridge/queue"
)

// TestSnapshotWaits: while the servers have nobody who leads the objects, a snapshot waits for
// that, within the patience of the store.
func TestSnapshotWaits(t *testing.T) {
	away := fmt.Errorf("put: %w", nats.ErrNoResponders)
	refused := errors.New("maximum bytes exceeded")
	for name, row := range map[string]struct {
		patience time.Duration
		puts     []error
		want     error
	}{
		"for a moment":     {time.Minute, []error{away, away}, nil},
		"for too long":     {time.Nanosecond, []error{away, away}, nats.ErrNoResponders},
		"what is no pause": {time.Minute, []error{refused, away}, refused},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			p := f.process(t, Options{ID: "a", Patience: row.patience})
			defer p.close()
			p.mustPush("one")
			f.puts = row.puts
			err := p.store.WriteSnapshot(queue.Snapshot{Seq: 1, Created: time.Unix(1, 0)}, func(w io.Writer) error {
				_, err := io.WriteString(w, "state")
				return err
			})
			if !errors.Is(err, row.want) {
				t.Fatalf("written: %v, want %v", err, row.want)
			}
			got := ""
			at, err := p.store.ReadSnapshot(func(r io.Reader) error {
				b, err := io.ReadAll(r)
				got = string(b)
				return err
			})
			if kept := row.want == nil; err != nil || kept != (got == "state") || kept != (at.Seq == 1) {
				t.Errorf("read %q at %d, %v", got, at.Seq, err)
			}
		})
	}
}
