package group

import (
	"bytes"
	"errors"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// snapshotView is a state with everything a snapshot can hold.
func snapshotView(t testing.TB) View {
	t.Helper()
	s := NewStore(Options{})
	seq := uint64(0)
	var queued []*Record
	push := func(kind Kind, p *Part, ttl time.Duration, labels ...Label) {
		t.Helper()
		err := s.Apply(Change{Kind: kind, Labels: NewLabels(labels), Part: p, TTL: ttl}, time.UnixMilli(1_700_000_000_000), func(r *Record) { queued = append(queued, r) })
		if err != nil {
			t.Fatal(err)
		}
	}
	job := func(i int) []Label { return []Label{{"job", "j"}, {"instance", strconv.Itoa(i)}} }
	push(KindPut, records(t)["put"].Part, time.Hour, job(0)...)
	for i := 1; i < 4; i++ {
		push(KindPut, part(t, "a 1\nb{x=\"\"} 2\nb 3\nc 4\n"), 0, job(i)...)
	}
	push(KindPost, part(t, "b 5\n# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds 7\n"), 0, job(2)...)
	push(KindFail, nil, 0, job(3)...)
	push(KindFail, nil, 0, job(4)...)
	push(KindPut, nil, 0, job(5)...)
	for _, r := range queued {
		seq++
		s.Commit(r, seq)
	}
	return s.View()
}

func TestSnapshotRoundTrip(t *testing.T) {
	want := snapshotView(t)
	var b bytes.Buffer
	if err := EncodeSnapshot(&b, want); err != nil {
		t.Fatal(err)
	}
	s := NewStore(Options{})
	if err := s.LoadSnapshot(&b); err != nil {
		t.Fatal(err)
	}
	s.FinishRestore(0)
	got := s.View()
	if got.Seq != want.Seq || got.Floor != want.Floor {
		t.Errorf("seq %d floor %d, want %d %d", got.Seq, got.Floor, want.Seq, want.Floor)
	}
	if diff := gocmp.Diff(printGroups(want.Groups), printGroups(got.Groups)); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	shapes := map[*Shape]bool{}
	for i := 1; i < 4; i++ {
		g := s.Lookup(NewLabels([]Label{{"job", "j"}, {"instance", strconv.Itoa(i)}}))
		m, _ := g.Member("a")
		shapes[m.Part.Shape] = true
	}
	if len(shapes) != 1 {
		t.Errorf("equal shapes are stored %d times", len(shapes))
	}
}

// TestSnapshotGolden: snapshots of this version stay readable.
func TestSnapshotGolden(t *testing.T) {
	path := filepath.Join("testdata", "snapshot-v1.hex")
	want := snapshotView(t)
	if *update {
		var b bytes.Buffer
		if err := EncodeSnapshot(&b, want); err != nil {
			t.Fatal(err)
		}
		writeHex(t, path, b.Bytes())
	}
	s := NewStore(Options{})
	if err := s.LoadSnapshot(bytes.NewReader(readHex(t, path))); err != nil {
		t.Fatal(err)
	}
	s.FinishRestore(0)
	if diff := gocmp.Diff(printGroups(want.Groups), printGroups(s.Groups())); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestSnapshotTorn(t *testing.T) {
	var b bytes.Buffer
	if err := EncodeSnapshot(&b, snapshotView(t)); err != nil {
		t.Fatal(err)
	}
	s := NewStore(Options{})
	for n := range b.Len() {
		if err := s.LoadSnapshot(bytes.NewReader(b.Bytes()[:n])); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, b.Len())
		}
		if len(s.entries) != 0 {
			t.Fatalf("groups are left of a snapshot cut at %d", n)
		}
	}
	huge := []byte{snapshotVersion, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	n := allocated(func() {
		if err := s.LoadSnapshot(bytes.NewReader(huge)); err == nil {
			t.Error("a block of 2^56 bytes was accepted")
		}
	})
	if n > 4<<20 {
		t.Errorf("a length that is not true took %d bytes", n)
	}
}

// failingWriter fails after some bytes.
type failingWriter struct{ left int }

var errFull = errors.New("disk full")

func (w *failingWriter) Write(b []byte) (int, error) {
	if len(b) > w.left {
		return 0, errFull
	}
	w.left -= len(b)
	return len(b), nil
}

func TestSnapshotWriteError(t *testing.T) {
	v := snapshotView(t)
	for range 1000 {
		v.Groups = append(v.Groups, v.Groups[0])
	}
	for _, n := range []int{0, 1 << 16} {
		if err := EncodeSnapshot(&failingWriter{n}, v); !errors.Is(err, errFull) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func FuzzLoadSnapshot(f *testing.F) {
	var b bytes.Buffer
	if err := EncodeSnapshot(&b, snapshotView(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewStore(Options{})
		var err error
		if n := allocated(func() { err = s.LoadSnapshot(bytes.NewReader(b)) }); n > uint64(len(b))*maxBlowUp*2+4<<20 {
			t.Errorf("%d bytes of input took %d bytes", len(b), n)
		}
		if err != nil {
			return
		}
		s.FinishRestore(0)
		var again bytes.Buffer
		if err := EncodeSnapshot(&again, s.View()); err != nil {
			t.Fatal(err)
		}
		second := NewStore(Options{})
		if err := second.LoadSnapshot(&again); err != nil {
			t.Fatalf("what was loaded does not load again: %v", err)
		}
		second.FinishRestore(0)
		if diff := gocmp.Diff(printGroups(s.Groups()), printGroups(second.Groups())); diff != "" {
			t.Errorf("round trip (-first +second):\n%s", diff)
		}
	})
}
