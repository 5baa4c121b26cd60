package disk

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/queue"
)

var update = flag.Bool("update", false, "write the golden files of the current format")

// Directories as versions of the program have written them: each step is a new
// format of some file. They are never written anew but for the last.
var (
	goldenDirs = []string{"testdata/v1", "testdata/v2", "testdata/v3"}
	goldenDir  = goldenDirs[len(goldenDirs)-1]
)

// goldenFiles returns the files of a golden directory by name.
func goldenFiles(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = b
	}
	return files
}

// goldenRecords are the records of the golden log: plain, compressed, empty, and since the
// third format a base and two differences.
var goldenRecords = []rec{
	{Time: 1_700_000_000_000, Samples: 7, Body: "short"},
	{Time: 1_700_000_000_001, Samples: 300, Body: strings.Repeat("compressible ", 40)},
	{Time: 1_700_000_000_002, Samples: 0, Body: ""},
	{Time: 1_700_000_060_000, Samples: 2, Body: "in the next segment"},
	{Time: 1_700_000_050_000, Samples: 3, Body: "~kind:first"},
	{Time: 1_700_000_055_000, Samples: 3, Body: "~kind:second"},
	{Time: 1_700_000_060_000, Samples: 3, Body: "~kind:" + strings.Repeat("third ", 40)},
}

// goldenBefore is how many of them there were in the formats before.
const goldenBefore = 4

// makeGolden writes the golden log: a sealed segment, one that names what failed
// and was not sealed, a snapshot, and a cursor.
func makeGolden(t *testing.T) *simDisk {
	t.Helper()
	sim := newSim()
	sim.add("/store/store", appendStoreFile(nil, fuzzStore, 0))
	o := simOptions()
	o.Now = func() time.Time { return time.Unix(1_700_000_000, 0) }
	l, err := open(sim, o)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := l.OpenCursor("golden", 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range goldenRecords[:3] {
		push(t, l, r, nil)
	}
	l.commitQueued()
	if err := l.disk.writer.seal(true); err != nil {
		t.Fatal(err)
	}
	sim.fault = failOps(errShortOp, "write", "create")
	push(t, l, rec{Body: "fails"}, nil)
	push(t, l, rec{Body: "fails, too"}, nil)
	l.commitQueued()
	sim.fault = nil
	l.reopen()
	for _, r := range goldenRecords[3:] {
		push(t, l, r, nil)
		l.commitQueued()
	}
	err = l.WriteSnapshot(3, 0, func(w io.Writer) error { _, err := io.WriteString(w, "the state at 3"); return err })
	if err := errors.Join(err, c.Sent(0, 3), c.Settle(0, 2, 307, queue.Outcome{7, 300}), c.Acked(1, 1)); err != nil {
		t.Fatal(err)
	}
	l.steps.Cursors()
	if err := c.Sent(1, 3); err != nil {
		t.Fatal(err)
	}
	return sim
}

// The bytes that are written do not change within a format version.
func TestGoldenBytes(t *testing.T) {
	sim := makeGolden(t)
	if *update {
		if err := os.MkdirAll(goldenDir, 0o750); err != nil {
			t.Fatal(err)
		}
		for name, n := range sim.now {
			if err := os.WriteFile(filepath.Join(goldenDir, filepath.Base(name)), n.data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := goldenFiles(t, goldenDir)
	for name, n := range sim.now {
		if !slices.Equal(want[filepath.Base(name)], n.data) {
			t.Errorf("%s has changed: raise the format version, and keep reading this one", name)
		}
		delete(want, filepath.Base(name))
	}
	if len(want) != 0 {
		t.Errorf("%d golden files are not written any more", len(want))
	}
}

// What was written once can be read, now and by every later version.
func TestGoldenRead(t *testing.T) {
	for _, dir := range goldenDirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want := queue.CursorStatus{ID: "golden", Shards: []queue.Position{at(2, 3), at(1, 3)}}
			want.Ledger = queue.Ledger{Settled: queue.Outcome{7, 300}}
			if dir == "testdata/v1" {
				want.Ledger = queue.Ledger{Begun: queue.UnknownTotal}
			}
			records := goldenRecords
			if dir != goldenDir {
				records = records[:goldenBefore]
			}
			checkGolden(t, goldenFiles(t, dir), records, want)
		})
	}
}

func checkGolden(t *testing.T, files map[string][]byte, records []rec, cursor queue.CursorStatus) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := open(osFS{}, options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var got []rec
	var seqs []uint64
	err = l.Replay(0, func(r rec, seq uint64) error {
		got, seqs = append(got, r), append(seqs, seq)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	more := uint64(len(records) - goldenBefore)
	if diff := cmp.Diff(records, got); diff != "" || !slices.Equal(seqs, []uint64{1, 2, 3, 6, 7, 8, 9}[:len(records)]) {
		t.Errorf("sequences %v, records (-want +got):\n%s", seqs, diff)
	}
	state := ""
	seq, floor, err := l.ReadSnapshot(func(r io.Reader) error {
		b, err := io.ReadAll(r)
		state = string(b)
		return err
	})
	if seq != 3 || floor != 1_700_000_060_000 || state != "the state at 3" || err != nil {
		t.Errorf("snapshot %d, %d, %q, %v", seq, floor, state, err)
	}
	if diff := cmp.Diff([]queue.CursorStatus{cursor}, l.Cursors()); diff != "" {
		t.Errorf("cursors (-want +got):\n%s", diff)
	}
	if bad := l.damage(); len(bad) != 0 || l.Head() != 6+more || l.Floor() != 1_700_000_060_000 || l.SamplesAfter(1) != 302+3*more {
		t.Errorf("damage %v, head %d, floor %d, %d samples after 1", bad, l.Head(), l.Floor(), l.SamplesAfter(1))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
