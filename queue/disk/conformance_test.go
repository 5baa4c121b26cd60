package disk

import (
	"errors"
	"io"
	"testing"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/queuetest"
)

func conformanceOptions(dir string, o queuetest.Options) Options {
	if o.MaxBytes == 0 {
		o.MaxBytes = -1
	}
	return Options{Dir: dir, SegmentBytes: o.PartBytes, MaxBytes: o.MaxBytes, MinFreeBytes: -1}
}

// TestConformance holds a real directory to what a store is.
func TestConformance(t *testing.T) {
	queuetest.Run(t, queuetest.Kind{New: func(t *testing.T, o queuetest.Options) *queuetest.Place {
		dir := t.TempDir()
		return &queuetest.Place{Store: func() queue.Store { return New(conformanceOptions(dir, o)) }}
	}})
}

// TestConformanceSim does the same with a disk that forgets, fails and rots. When it
// fails it takes nothing, or it takes what is written and cannot make it durable.
func TestConformanceSim(t *testing.T) {
	for _, row := range []struct {
		name string
		ops  []string
	}{
		{"refuses", []string{"write", "sync", "create", "rename", "truncate", "remove"}},
		{"does not sync", []string{"sync", "syncdir", "truncate", "remove"}},
	} {
		t.Run(row.name, func(t *testing.T) { queuetest.Run(t, simKind(row.ops)) })
	}
}

func simKind(failing []string) queuetest.Kind {
	return queuetest.Kind{New: func(t *testing.T, o queuetest.Options) *queuetest.Place {
		sim := newSim()
		t.Cleanup(func() {
			if len(sim.violations) > 0 {
				t.Error(sim.violations)
			}
		})
		return &queuetest.Place{
			Store:     func() queue.Store { return newStore(sim, conformanceOptions("/store", o)) },
			Kill:      func() { sim = sim.crash(true, nil) },
			PowerLoss: func() { sim = sim.crash(false, nil) },
			Break: func(err error) {
				sim.fault = nil
				if err != nil {
					sim.fault = failOps(err, failing...)
				}
			},
			Damage: func(seq uint64) { flipRecord(t, sim, seq) },
		}
	}}
}

// flipRecord changes a byte of the payload of a record.
func flipRecord(t *testing.T, sim *simDisk, seq uint64) {
	t.Helper()
	for _, name := range sim.list(segmentSuffix) {
		b := sim.now[name].data
		h, err := parseSegmentHeader(b, name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := sim.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		scan := newFileScanner(f, name, newView(h, true), int64(len(b)))
		for {
			fr, err := scan.next()
			if errors.As(err, new(*CorruptionError)) {
				continue
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if fr.isRecord() && fr.seq == seq {
				sim.edit(name, func(b []byte) []byte { b[fr.offset+frameHeaderSize] ^= 0x40; return b })
				return
			}
		}
	}
	t.Fatalf("record %d is in no segment", seq)
}
