package group

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// decodeSnapshot is DecodeSnapshot, groups included.
func decodeSnapshot(r io.Reader) (View, error) {
	var groups []*Group
	v, err := DecodeSnapshot(r, &Shapes{}, func(g *Group) error {
		groups = append(groups, g)
		return nil
	})
	v.Groups = groups
	return v, err
}

// snapshotView is a state with everything a snapshot of the first version can hold.
func snapshotView(t testing.TB) View {
	t.Helper()
	v, err := decodeSnapshot(bytes.NewReader(readHex(t, filepath.Join("testdata", "snapshot-v1.hex"))))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func diffViews(want, got View) string {
	return gocmp.Diff(want, got, gocmp.AllowUnexported(Shape{}, Family{}, Metric{}, Group{}), cmpopts.IgnoreUnexported(Part{}),
		cmpopts.EquateEmpty(), cmpopts.EquateNaNs(), cmpopts.IgnoreFields(Shape{}, "hash"))
}

// printView prints what a reader of the snapshot has to find in it.
func printView(v View) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seq %d floor %d\n", v.Seq, v.Floor)
	for _, g := range v.Groups {
		fmt.Fprintf(&b, "\n%s push=%d fail=%d ttl=%d expect=%d born=%d last=%d seq=%d hide=%d samples=%d\n",
			g.Labels, g.Push, g.Fail, g.TTL, g.Expect, g.Born, g.Last, g.Seq, g.Hide, g.Samples())
		for _, m := range g.Members {
			fmt.Fprintf(&b, "# at %d, pushed at %d, unsent %v, late %v\n", m.Part.Time, m.Part.Pushed, m.Part.Unsent, m.Part.Late)
			printMember(&b, m)
		}
	}
	return b.String()
}

func printMember(b *strings.Builder, m Member) {
	f, p := m.Of(), m.Part
	fmt.Fprintf(b, "%s %s help %v %q unit %q\n", f.Name, f.Type, f.HasHelp, f.Help, f.Unit)
	for i, metric := range m.Metrics() {
		n := uint32(f.First() + i)
		fmt.Fprintf(b, "  %v bounds %v values %x", p.Shape.AppendLabels(nil, &metric), p.Shape.Bounds(&metric), p.ValuesOf(&metric))
		if h := p.NativeOf(&metric); h != nil {
			fmt.Fprintf(b, " native %+v", *h)
		}
		if p.IsTimed(n) {
			fmt.Fprintf(b, " time %d", p.Times[n])
		}
		if c, ok := p.CreatedOf(n); ok {
			fmt.Fprintf(b, " created %+v", c)
		}
		fmt.Fprintf(b, " exemplars %+v\n", p.ExemplarsOf(n))
	}
}

// TestSnapshotGolden: snapshots of this version stay readable, and what is written is
// what was.
func TestSnapshotGolden(t *testing.T) {
	v := snapshotView(t)
	golden := filepath.Join("testdata", "snapshot-v1.txt")
	got := printView(v)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("what was read (-want +got):\n%s", diff)
	}
	var b bytes.Buffer
	if err := EncodeSnapshot(&b, v); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(readHex(t, filepath.Join("testdata", "snapshot-v1.hex")), b.Bytes()); diff != "" {
		t.Errorf("what is written again (-want +got):\n%s", diff)
	}
}

// mergeView is a state with what the second version of snapshots has more.
func mergeView(t testing.TB) View {
	v := snapshotView(t)
	v.Groups[0].Pushes, v.Groups[1].Pushes = 1, 300
	v.Keys = []KeptKey{{NewPushKey(v.Groups[0].Labels, "a"), -1}, {NewPushKey(v.Groups[0].Labels, "b"), 1_700_000_000_000}}
	return v
}

// TestSnapshotMergeGolden: snapshots of aggregates have a version of their own.
func TestSnapshotMergeGolden(t *testing.T) {
	var b bytes.Buffer
	if err := EncodeSnapshot(&b, mergeView(t)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "snapshot-v2.hex")
	if *update {
		writeHex(t, path, b.Bytes())
	}
	if diff := gocmp.Diff(readHex(t, path), b.Bytes()); diff != "" {
		t.Errorf("what is written (-want +got):\n%s", diff)
	}
	got, err := decodeSnapshot(bytes.NewReader(readHex(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffViews(mergeView(t), got); diff != "" {
		t.Errorf("what was read (-want +got):\n%s", diff)
	}
	for n := range b.Len() {
		if _, err := decodeSnapshot(bytes.NewReader(b.Bytes()[:n])); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, b.Len())
		}
	}
}

func TestSnapshotTorn(t *testing.T) {
	var b bytes.Buffer
	if err := EncodeSnapshot(&b, snapshotView(t)); err != nil {
		t.Fatal(err)
	}
	for n := range b.Len() {
		if _, err := decodeSnapshot(bytes.NewReader(b.Bytes()[:n])); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, b.Len())
		}
	}
	huge := []byte{snapshotVersion, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	n := allocated(func() {
		if _, err := decodeSnapshot(bytes.NewReader(huge)); err == nil {
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

func FuzzDecodeSnapshot(f *testing.F) {
	var b bytes.Buffer
	if err := EncodeSnapshot(&b, snapshotView(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var first View
		var err error
		if n := allocated(func() { first, err = decodeSnapshot(bytes.NewReader(b)) }); n > uint64(len(b))*maxBlowUp*2+4<<20 {
			t.Errorf("%d bytes of input took %d bytes", len(b), n)
		}
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := EncodeSnapshot(&again, first); err != nil {
			t.Fatal(err)
		}
		second, err := decodeSnapshot(&again)
		if err != nil {
			t.Fatalf("what was read does not read again: %v", err)
		}
		if diff := diffViews(first, second); diff != "" {
			t.Errorf("round trip (-first +second):\n%s", diff)
		}
	})
}
