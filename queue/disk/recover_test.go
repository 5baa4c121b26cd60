package disk

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/queue"
)

// stored is a disk with a log of several segments, two snapshots and a cursor.
type stored struct {
	sim *simDisk
	all map[uint64]rec
	l   *testLog
}

func newStored(t *testing.T) *stored {
	t.Helper()
	s := &stored{sim: newSim(), all: map[uint64]rec{}}
	s.open(t)
	c := s.cursor(t)
	for i := range 12 {
		r := rec{Time: int64(1000 + i), Samples: i, Body: fmt.Sprintf("record %2d", i)}
		push(t, s.l, r, func(seq uint64) { s.all[seq] = r })
		s.l.commitQueued()
		if i == 3 || i == 7 {
			s.snapshot(t)
		}
		if i == 5 {
			if err := errors.Join(c.Sent(0, 6), c.Acked(0, 4)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func (s *stored) open(t *testing.T) {
	t.Helper()
	o := simOptions()
	o.SegmentBytes = 150 // two records
	l, err := open(s.sim, o)
	if err != nil {
		t.Fatal(err)
	}
	s.l = l
}

func (s *stored) cursor(t *testing.T) *queue.Cursor {
	t.Helper()
	c, _, err := s.l.OpenCursor("dest", 1)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *stored) snapshot(t *testing.T) {
	t.Helper()
	head := s.l.Head()
	err := s.l.WriteSnapshot(head, s.l.Floor(), func(w io.Writer) error {
		_, err := w.Write(slices.Repeat([]byte{byte(head)}, 100))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// outcome is what a start makes of the disk.
type outcome struct {
	Err      string   // of Open
	Snapshot uint64   // the one that was used
	Replayed []uint64 // sequences behind it
	Head     uint64
	Acked    uint64
	Sent     uint64
	Damage   []string // files, with ~ when torn
	Files    []string // moved aside or copied
}

// restart opens what is on the disk and says what came of it.
func (s *stored) restart(t *testing.T) outcome {
	t.Helper()
	var out outcome
	l, err := open(s.sim, simOptions())
	if err != nil {
		out.Err = err.Error()
		return out
	}
	out.Snapshot, _, err = l.ReadSnapshot(func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = l.Replay(out.Snapshot, func(r rec, seq uint64) error {
		if r != s.all[seq] {
			t.Errorf("record %d came back changed", seq)
		}
		out.Replayed = append(out.Replayed, seq)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := l.OpenCursor("dest", 1)
	if err != nil {
		t.Fatal(err)
	}
	out.Head = l.Head()
	out.Acked, out.Sent = c.Position(0)
	for _, bad := range l.damage() {
		name := bad.File
		if bad.Torn {
			name += "~"
		}
		out.Damage = append(out.Damage, short(name))
	}
	for _, name := range s.sim.list(asideSuffix) {
		out.Files = append(out.Files, short(filepath.Base(name)))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	return out
}

// short makes file names readable: without the zeros and the hash.
func short(name string) string {
	if rest, ok := strings.CutPrefix(name, "dest-"); ok {
		return "dest" + rest[strings.IndexByte(rest, '.'):]
	}
	return strings.TrimLeft(name, "0")
}

func flip(off int) func([]byte) []byte {
	return func(b []byte) []byte { b[off] ^= 4; return b }
}

// setVersion writes a format version with a good checksum: what a newer program
// would write.
func setVersion(magic string) func([]byte) []byte {
	return func(b []byte) []byte {
		p := appendPreamble(nil, magic)
		p[8]++
		copy(b, p)
		fixPreamble(b)
		return b
	}
}

// TestRecovery is one row per way in which a start can find the disk. The log has
// records 1 to 12, two in each of the segments 1 to 6, snapshots at 4 and 8, and a cursor that has
// acknowledged 4 and sent 6.
func TestRecovery(t *testing.T) {
	seg := func(n uint64) string { return "/store/" + numbered(n, segmentSuffix) }
	snap := func(n uint64) string { return "/store/" + numbered(n, snapshotSuffix) }
	cursor := "/store/" + cursorName("dest")
	healthy := outcome{Snapshot: 8, Replayed: []uint64{9, 10, 11, 12}, Head: 12, Acked: 4, Sent: 6}
	with := func(change func(o *outcome)) outcome {
		o := healthy
		change(&o)
		return o
	}
	last := func(s *stored) string { names := s.sim.list(segmentSuffix); return names[len(names)-1] }

	for _, row := range []struct {
		name   string
		damage func(t *testing.T, s *stored)
		want   outcome
	}{
		{"kill -9", func(*testing.T, *stored) {}, healthy},
		{
			"power loss: what was not acknowledged is in doubt",
			func(_ *testing.T, s *stored) { s.sim = s.sim.crash(false, nil) },
			// The last sync of the cursor was at its creation, at 0.
			with(func(o *outcome) { o.Acked, o.Sent = 0, 12 }),
		},
		{
			"power loss after the cursor was synced",
			func(_ *testing.T, s *stored) {
				s.l.steps.Cursors()
				s.sim = s.sim.crash(false, nil)
			},
			with(func(o *outcome) { o.Sent = 12 }),
		},
		{
			"power loss after a proper stop: nothing is in doubt",
			func(t *testing.T, s *stored) {
				if err := errors.Join(s.l.finish(), s.l.Close()); err != nil {
					t.Fatal(err)
				}
				s.sim = s.sim.crash(false, nil)
			},
			healthy,
		},
		{
			"torn record",
			func(_ *testing.T, s *stored) {
				s.sim.edit(last(s), func(b []byte) []byte { return append(b, 0xA5, 0xF6, kindRecord, 0, 1, 2, 3) })
			},
			with(func(o *outcome) { o.Damage = []string{"6.segment~"} }),
		},
		{
			"zeros behind the last record",
			func(_ *testing.T, s *stored) {
				s.sim.edit(last(s), func(b []byte) []byte { return append(b, make([]byte, 5000)...) })
			},
			healthy,
		},
		{
			"zeros behind the last record, and something behind them",
			func(_ *testing.T, s *stored) {
				s.sim.edit(last(s), func(b []byte) []byte { return append(append(b, make([]byte, 5000)...), 1) })
			},
			with(func(o *outcome) { o.Damage = []string{"6.segment~"} }),
		},
		{
			"torn header of a new segment",
			func(_ *testing.T, s *stored) { s.sim.add(seg(7), s.sim.now[seg(6)].data[:30]) },
			with(func(o *outcome) { o.Damage = []string{"7.segment~"} }),
		},
		{
			"new segment without a byte",
			func(_ *testing.T, s *stored) { s.sim.add(seg(7), nil) },
			with(func(o *outcome) { o.Damage = []string{"7.segment~"} }),
		},
		{
			"flipped bit in a record",
			func(_ *testing.T, s *stored) { s.sim.edit(seg(5), flip(segmentHeaderSize+50)) },
			with(func(o *outcome) { o.Replayed, o.Damage = []uint64{10, 11, 12}, []string{"5.segment"} }),
		},
		{
			"flipped bit in a segment's header",
			func(_ *testing.T, s *stored) { s.sim.edit(seg(6), flip(41)) },
			with(func(o *outcome) { o.Damage = []string{"6.segment"} }),
		},
		{
			"flipped bit in the version of a segment",
			func(_ *testing.T, s *stored) { s.sim.edit(seg(6), flip(8)) },
			with(func(o *outcome) { o.Damage = []string{"6.segment"} }),
		},
		{
			"segment of an unknown version",
			func(_ *testing.T, s *stored) { s.sim.edit(seg(6), setVersion(segmentMagic)) },
			outcome{Err: "open log in /store: 00000000000000000006.segment: format version 3 is not known to this version of the program (it knows up to 2)"},
		},
		{
			"snapshot of an unknown version",
			func(_ *testing.T, s *stored) { s.sim.edit(snap(8), setVersion(snapshotMagic)) },
			outcome{Err: "open log in /store: 00000000000000000008.snapshot: format version 2 is not known to this version of the program (it knows up to 1)"},
		},
		{
			"cursor of an unknown version",
			func(_ *testing.T, s *stored) { s.sim.edit(cursor, setVersion(cursorMagic)) },
			outcome{Err: "open log in /store: " + filepath.Base(cursor) + ": format version 3 is not known to this version of the program (it knows up to 2)"},
		},
		{
			"store of an unknown version",
			func(_ *testing.T, s *stored) { s.sim.edit("/store/store", setVersion(storeMagic)) },
			outcome{Err: "open log in /store: store: format version 2 is not known to this version of the program (it knows up to 1)"},
		},
		{
			"segment of another store",
			func(t *testing.T, s *stored) {
				other, _ := build(t, 4, true)
				s.sim.add(seg(7), other.now[seg(1)].data)
			},
			with(func(o *outcome) { o.Damage, o.Files = []string{"7.segment"}, []string{"7.segment.0.aside"} }),
		},
		{
			"segment under a wrong number",
			func(_ *testing.T, s *stored) { s.sim.add(seg(7), s.sim.now[seg(3)].data) },
			with(func(o *outcome) { o.Damage, o.Files = []string{"7.segment"}, []string{"7.segment.0.aside"} }),
		},
		{
			"file that was never a segment",
			func(_ *testing.T, s *stored) { s.sim.add(seg(7), []byte(strings.Repeat("hello ", 100))) },
			with(func(o *outcome) { o.Damage, o.Files = []string{"7.segment"}, []string{"7.segment.0.aside"} }),
		},
		{
			"missing segment",
			func(_ *testing.T, s *stored) { delete(s.sim.now, seg(5)) },
			with(func(o *outcome) { o.Replayed, o.Damage = []uint64{11, 12}, []string{"5.segment"} }),
		},
		{
			"missing segment that nobody needs",
			func(_ *testing.T, s *stored) { delete(s.sim.now, seg(1)) },
			healthy,
		},
		{
			"lost directory entry of the newest segment",
			func(_ *testing.T, s *stored) { delete(s.sim.now, last(s)) },
			with(func(o *outcome) { o.Replayed, o.Head = []uint64{9, 10}, 10 }),
		},
		{
			"all segments are gone: the log goes on behind snapshot and cursor",
			func(_ *testing.T, s *stored) {
				for _, name := range s.sim.list(segmentSuffix) {
					delete(s.sim.now, name)
				}
			},
			with(func(o *outcome) { o.Replayed, o.Head = nil, 8 }),
		},
		{
			"damaged content of the newest snapshot: the older one, and more of the log",
			func(_ *testing.T, s *stored) { s.sim.edit(snap(8), flip(snapshotHeaderSize+7)) },
			with(func(o *outcome) {
				o.Snapshot, o.Replayed = 4, []uint64{5, 6, 7, 8, 9, 10, 11, 12}
				o.Damage, o.Files = []string{"8.snapshot"}, []string{"8.snapshot.0.aside"}
			}),
		},
		{
			"damaged header of the newest snapshot",
			func(_ *testing.T, s *stored) { s.sim.edit(snap(8), flip(33)) },
			with(func(o *outcome) {
				o.Snapshot, o.Replayed = 4, []uint64{5, 6, 7, 8, 9, 10, 11, 12}
				o.Damage, o.Files = []string{"8.snapshot"}, []string{"8.snapshot.0.aside"}
			}),
		},
		{
			"cut snapshot",
			func(_ *testing.T, s *stored) {
				s.sim.edit(snap(8), func(b []byte) []byte { return b[:len(b)-20] })
			},
			with(func(o *outcome) {
				o.Snapshot, o.Replayed = 4, []uint64{5, 6, 7, 8, 9, 10, 11, 12}
				o.Damage, o.Files = []string{"8.snapshot"}, []string{"8.snapshot.0.aside"}
			}),
		},
		{
			"both snapshots damaged: the log has everything still",
			func(_ *testing.T, s *stored) {
				s.sim.edit(snap(8), flip(snapshotHeaderSize))
				s.sim.edit(snap(4), flip(snapshotHeaderSize))
			},
			with(func(o *outcome) {
				o.Snapshot, o.Replayed = 0, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
				o.Damage = []string{"8.snapshot", "4.snapshot"}
				o.Files = []string{"4.snapshot.0.aside", "8.snapshot.0.aside"}
			}),
		},
		{
			"unfinished snapshot",
			func(_ *testing.T, s *stored) { s.sim.add(snap(12)+tempSuffix, []byte("half")) },
			healthy,
		},
		{
			"damaged newest slot of a cursor: the older one, and the rest in doubt",
			func(_ *testing.T, s *stored) { s.sim.edit(cursor, flip(slotsAt+pageSize+60)) },
			with(func(o *outcome) {
				o.Acked, o.Sent = 0, 12
				o.Damage, o.Files = []string{"dest.cursor"}, []string{"dest.cursor.0.aside"}
			}),
		},
		{
			"both slots of a cursor damaged: all of the log in doubt",
			func(_ *testing.T, s *stored) {
				s.sim.edit(cursor, flip(slotsAt+60))
				s.sim.edit(cursor, flip(slotsAt+pageSize+60))
			},
			with(func(o *outcome) {
				o.Acked, o.Sent = 0, 12
				o.Damage, o.Files = []string{"dest.cursor"}, []string{"dest.cursor.0.aside"}
			}),
		},
		{
			"empty cursor file",
			func(_ *testing.T, s *stored) { s.sim.edit(cursor, func([]byte) []byte { return nil }) },
			with(func(o *outcome) {
				o.Acked, o.Sent = 0, 12
				o.Damage, o.Files = []string{"dest.cursor"}, []string{"dest.cursor.0.aside"}
			}),
		},
		{
			"damaged header of a cursor",
			func(_ *testing.T, s *stored) { s.sim.edit(cursor, flip(20)) },
			with(func(o *outcome) {
				o.Sent = 12
				o.Damage, o.Files = []string{"dest.cursor"}, []string{"dest.cursor.0.aside"}
			}),
		},
		{
			"missing store file",
			func(_ *testing.T, s *stored) { delete(s.sim.now, "/store/store") },
			healthy,
		},
		{
			"damaged store file",
			func(_ *testing.T, s *stored) { s.sim.edit("/store/store", flip(20)) },
			with(func(o *outcome) { o.Damage, o.Files = []string{"store"}, []string{"store.0.aside"} }),
		},
		{
			"lock file of a dead process",
			func(_ *testing.T, s *stored) { s.sim.add("/store/lock", []byte("pid 1\n")) },
			healthy,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStored(t)
			row.damage(t, s)
			s.sim = s.sim.crash(true, nil)
			if diff := cmp.Diff(row.want, s.restart(t)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A page that the disk cannot read costs the frames on it, and the file is left
// alone: perhaps it can be read tomorrow.
func TestUnreadablePage(t *testing.T) {
	sim := newSim()
	o := simOptions()
	o.SegmentBytes = 1 << 20
	l, err := open(sim, o)
	if err != nil {
		t.Fatal(err)
	}
	all := map[uint64]rec{}
	for i := range 300 {
		r := rec{Samples: i, Body: fmt.Sprint("record ", i)}
		push(t, l, r, func(seq uint64) { all[seq] = r })
	}
	l.commitQueued()
	sim = sim.crash(true, nil)
	name := sim.list(segmentSuffix)[0]
	at, before := places(t, sim, name), slices.Clone(sim.now[name].data)

	sim.badPage = map[string]int64{name: pageSize}
	got := readAll(t, sim)
	want := touched(at, pageSize, 2*pageSize)
	if lost := got.lost(all); !slices.Equal(lost, want) {
		t.Errorf("lost %v, on the page are %v", lost, want)
	}
	if !slices.Equal(before, sim.now[name].data) {
		t.Error("the file was changed")
	}
	sim.badPage = nil
	if got := readAll(t, sim); len(got.lost(all)) != 0 {
		t.Errorf("readable again, and lost %v", got.lost(all))
	}
}
