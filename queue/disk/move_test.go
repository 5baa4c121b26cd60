package disk

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/queuetest"
)

// side returns a directory on a disk that forgets what was not synced: each process that
// moves finds what a power loss has left.
func side(t *testing.T, partBytes int64) queuetest.Side {
	sim, o := newSim(), conformanceOptions("/store", queuetest.Options{PartBytes: partBytes})
	return queuetest.Side{
		Plain: func() queue.Store { return newStore(sim, o) },
		Store: func() queue.Movable {
			if len(sim.locked) == 0 {
				sim = sim.crash(false, nil)
			}
			return &Movable{Store: newStore(sim, o)}
		},
		Damage: func(seq uint64) { flipRecord(t, sim, seq) },
	}
}

// TestMove moves one directory to another one.
func TestMove(t *testing.T) {
	for _, row := range []struct {
		name   string
		damage bool
	}{{"whole", false}, {"damaged", true}} {
		t.Run(row.name, func(t *testing.T) {
			from, to := side(t, 400), side(t, 1<<20)
			if !row.damage {
				from.Damage = nil
			}
			queuetest.Move(t, from, to)
		})
	}
}

// TestMoveKilledAtOnce: an attempt that ended while it marked the directory has left nothing in it.
func TestMoveKilledAtOnce(t *testing.T) {
	for name, row := range map[string]struct {
		files []string
		want  error
	}{
		"before the mark has its name": {[]string{unfinishedName + tempSuffix}, nil},
		"with content":                 {[]string{unfinishedName + tempSuffix, "00000000000000000001" + segmentSuffix}, queue.ErrNotEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range row.files {
				if err := os.WriteFile(filepath.Join(dir, f), []byte("begun"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			m := NewMovable(Options{Dir: dir})
			begun, err := m.Reserve(queue.Host{Logger: slog.New(slog.DiscardHandler)})
			if begun || !errors.Is(err, row.want) {
				t.Errorf("begun %v, %v; want %v", begun, err, row.want)
			}
			if err == nil {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
