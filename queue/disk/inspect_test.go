package disk

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pushbridge/pushbridge/queue"
)

// TestInspect describes a healthy log beside a running process.
func TestInspect(t *testing.T) {
	s := newStored(t)
	got, err := inspect(s.sim, "/store")
	if err != nil {
		t.Fatal(err)
	}
	if got.Store == "" || got.Bytes == 0 || got.Records != 12 || got.Samples != 66 || got.Total != 66 || got.First != 1 || got.Last != 12 {
		t.Errorf("report %+v", got)
	}
	ignore := cmpopts.IgnoreFields(SegmentReport{}, "Bytes", "File", "Newest")
	wantSegments := []SegmentReport{
		{Number: 1, First: 1, Last: 2, Records: 2, Samples: 1, Sealed: true},
		{Number: 2, First: 3, Last: 4, Records: 2, Samples: 5, Sealed: true},
		{Number: 3, First: 5, Last: 6, Records: 2, Samples: 9, Sealed: true},
		{Number: 4, First: 7, Last: 8, Records: 2, Samples: 13, Sealed: true},
		{Number: 5, First: 9, Last: 10, Records: 2, Samples: 17, Sealed: true},
		{Number: 6, First: 11, Last: 12, Records: 2, Samples: 21},
	}
	if diff := cmp.Diff(wantSegments, got.Segments, ignore); diff != "" {
		t.Errorf("segments (-want +got):\n%s", diff)
	}
	wantCursors := []CursorReport{{
		ID: "dest", Shards: []queue.Position{at(4, 6)}, OldestUnsent: 5, OldestTime: time.UnixMilli(1004).UTC(),
		PendingRecords: 8, PendingSamples: 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11, Ledger: &queue.Ledger{},
	}}
	if diff := cmp.Diff(wantCursors, got.Cursors, cmpopts.IgnoreFields(CursorReport{}, "File")); diff != "" {
		t.Errorf("cursors (-want +got):\n%s", diff)
	}
	if len(got.Snapshots) != 2 || !got.Snapshots[0].Good || got.Snapshots[1].Seq != 8 || len(got.Damage) != 0 {
		t.Errorf("snapshots %+v, damage %+v", got.Snapshots, got.Damage)
	}
	var back Report
	b, err := json.Marshal(got)
	if err != nil || json.Unmarshal(b, &back) != nil {
		t.Fatal(err)
	}
	notInJSON := cmpopts.IgnoreFields(CursorReport{}, "Ledger") // it has no names for what it counts
	if diff := cmp.Diff(*got, back, cmpopts.EquateEmpty(), notInJSON); diff != "" {
		t.Errorf("through JSON (-want +got):\n%s", diff)
	}
}

// TestInspectDamage names what is wrong and changes nothing.
func TestInspectDamage(t *testing.T) {
	s := newStored(t)
	seg := func(n uint64) string { return "/store/" + numbered(n, segmentSuffix) }
	s.sim.edit(seg(2), flip(segmentHeaderSize+50)) // record 3
	s.sim.edit(seg(3), flip(30))                   // header
	delete(s.sim.now, seg(4))
	s.sim.edit(seg(5), setVersion(segmentMagic))
	other, _ := build(t, 2, true)
	s.sim.add(seg(7), other.now[seg(1)].data)
	s.sim.edit("/store/"+numbered(8, snapshotSuffix), flip(snapshotHeaderSize))
	s.sim.edit("/store/"+cursorName("dest"), flip(slotsAt+pageSize+60))
	s.sim.add("/store/notes.txt", []byte("mine"))
	before := s.sim.clone()

	got, err := inspect(s.sim, "/store")
	if err != nil {
		t.Fatal(err)
	}
	var damage []string
	for _, d := range got.Damage {
		damage = append(damage, short(d.File)+": "+d.Problem)
	}
	want := []string{
		"dest.cursor: the slot does not match its checksum",
		"2.segment: the frame's payload does not match its checksum",
		"3.segment: the header does not match its checksum",
		"3.segment: no frame starts here",
		"5.segment: 00000000000000000005.segment: format version 3 is not known to this version of the program (it knows up to 2)",
		"6.segment: the records before this segment are missing",
		"7.segment: the file belongs to another store",
		"8.snapshot: read snapshot 00000000000000000008.snapshot: the content does not match its checksum",
	}
	if diff := cmp.Diff(want, damage); diff != "" {
		t.Errorf("damage (-want +got):\n%s", diff)
	}
	if !slices.Equal(got.Other, []string{"notes.txt"}) {
		t.Errorf("other files %v", got.Other)
	}
	if c := got.Cursors[0]; c.OldestUnsent != 1 || c.PendingRecords != 7 || c.MissingRecords != 0 {
		t.Errorf("cursor %+v", c)
	}
	for name, n := range before.now {
		if !slices.Equal(n.data, s.sim.now[name].data) {
			t.Errorf("%s was changed", name)
		}
	}
	if len(before.now) != len(s.sim.now) {
		t.Error("files came or went")
	}
}

// A segment that was made a moment before the process was killed is what a crash
// leaves, and no damage.
func TestInspectNewSegment(t *testing.T) {
	for name, data := range map[string][]byte{"empty": nil, "part of its header": []byte("pbq-segm"), "zeros": make([]byte, segmentHeaderSize)} {
		s := newStored(t)
		s.sim.add("/store/"+numbered(7, segmentSuffix), data)
		got, err := inspect(s.sim, "/store")
		if err != nil {
			t.Fatal(err)
		}
		notTorn := func(d DamageReport) bool { return !d.Torn }
		if len(got.Damage) == 0 || slices.ContainsFunc(got.Damage, notTorn) {
			t.Errorf("%s: damage %+v", name, got.Damage)
		}
		s.sim.add("/store/"+numbered(8, segmentSuffix), make([]byte, segmentHeaderSize))
		if got, err = inspect(s.sim, "/store"); err != nil || !slices.ContainsFunc(got.Damage, notTorn) {
			t.Errorf("%s, not the newest: damage %+v, %v", name, got.Damage, err)
		}
	}
}

// On a real disk: beside the process that has it open, and on a read-only copy.
func TestInspectDir(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	l, stop := start(t, options{Dir: dir})
	defer stop()
	add(t, l, rec{Samples: 4})
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, copied} {
		got, err := Inspect(d)
		if err != nil {
			t.Fatal(err)
		}
		if got.Records != 1 || got.Samples != 4 || len(got.Damage) != 0 || !strings.HasPrefix(got.Opened, "pid ") {
			t.Errorf("%s: %+v", d, got)
		}
	}
	if _, err := Inspect(filepath.Join(dir, "nothing here")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// TestInspectOfAnUnbegunSegment: a process that is killed while it makes a segment leaves
// one without a header, which knows nothing of what was before.
func TestInspectOfAnUnbegunSegment(t *testing.T) {
	s := newStored(t)
	f, err := s.sim.Create("/store/" + numbered(7, segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := inspect(s.sim, "/store")
	if err != nil {
		t.Fatal(err)
	}
	if got.Total != 66 || got.Last != 12 || len(got.Damage) != 1 || !got.Damage[0].Torn {
		t.Errorf("report %+v", got)
	}
}
