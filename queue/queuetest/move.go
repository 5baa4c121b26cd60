package queuetest

import (
	"errors"
	"io"
	"log/slog"
	"reflect"
	"testing"

	"github.com/pushbridge/pushbridge/queue"
)

// Side is a store that content is moved from or to.
type Side struct {
	Plain  func() queue.Store   // the one of the next process that serves
	Store  func() queue.Movable // the one of the next process that moves
	Damage func(seq uint64)     // nil: none
}

// Move holds two stores to what moving from one to the other is.
func Move(t *testing.T, from, to Side) {
	r := newRig(t, Kind{New: func(*testing.T, Options) *Place {
		return &Place{Store: from.Plain}
	}}, testCase{})
	r.toMove()
	r.close()
	if from.Damage != nil {
		from.Damage(12)
	}
	m := moving{rig: r, from: from, to: to}
	for _, cut := range []bool{true, false} { // short, at first
		m.run(cut)
	}
	m.marked()
}

// toMove makes a log with destinations that lag, and records that none of them needs.
func (r *rig) toMove() {
	r.Helper()
	r.fill(5)
	one := r.cursor("one", 2)
	r.fill(9)
	r.must(one.Sent(0, 9), one.Sent(1, 14), one.Settle(0, 8, 1+2+3+4+5+1+2+3, queue.Outcome{0: 6}))
	r.cursor("two", 1)
	r.fill(20)
	r.snapshot("state")
	r.fill(3)
}

// moving is one move.
type moving struct {
	*rig
	from, to Side
}

func (m moving) host() queue.Host { return queue.NewHost(slog.New(slog.DiscardHandler), m.o.Now) }

// source opens the store that is moved from.
func (m moving) source() (queue.Movable, *queue.Log[record]) {
	m.Helper()
	s := m.from.Store()
	l := m.opened(s)
	if head, err := s.Hold(); err != nil || head != l.Head() {
		m.Fatalf("held at %d, %v, want %d", head, err, l.Head())
	}
	return s, l
}

func (m moving) opened(s queue.Movable) *queue.Log[record] {
	m.Helper()
	l, err := queue.Open(s, m.o, codec)
	if err != nil {
		m.Fatalf("open: %v", err)
	}
	return l
}

// run moves, or is cut short before the end.
func (m moving) run(cut bool) {
	m.Helper()
	source, l := m.source()
	to := m.to.Store()
	if begun, err := to.Reserve(m.host()); err != nil || begun == cut {
		m.Fatalf("reserve: begun %t, %v", begun, err)
	}
	m.must(to.Fill(l.Identity()))
	moved, err := queue.ContentOf(l).Move(to)
	if err != nil || moved.Records == 0 || moved.Destinations != 2 {
		m.Fatalf("moved %+v, %v", moved, err)
	}
	err = to.WriteSnapshot(queue.Snapshot{Seq: l.Head(), Floor: l.Floor(), Total: l.Samples(), Created: m.now}, func(w io.Writer) error {
		_, err := io.WriteString(w, "state")
		return err
	})
	m.must(err, to.Close())
	if _, err := m.to.Plain().Recover(m.host()); !errors.Is(err, queue.ErrUnfinished) {
		m.Fatalf("an unfinished store is opened: %v", err)
	}
	m.compare(l)
	if !cut {
		m.must(source.Leave("elsewhere"))
		m.finish()
	}
	m.must(l.Close())
}

// compare holds what was moved to what there is.
func (m moving) compare(l *queue.Log[record]) {
	m.Helper()
	to := m.to.Store()
	to.Retake()
	moved := m.opened(to)
	if moved.Head() != l.Head() || moved.Samples() != l.Samples() || moved.Floor() != l.Floor() || moved.Identity() != l.Identity() {
		m.Errorf("%d, %d, %d, %x became %d, %d, %d, %x", l.Head(), l.Samples(), l.Floor(), l.Identity(),
			moved.Head(), moved.Samples(), moved.Floor(), moved.Identity())
	}
	if here, there := queue.ContentOf(l).Cursors(), queue.ContentOf(moved).Cursors(); !reflect.DeepEqual(here, there) {
		m.Errorf("cursors %+v became %+v", here, there)
	}
	here, err := queue.ContentOf(l).Digest()
	there, err2 := queue.ContentOf(moved).Digest()
	if here != there || err != nil || err2 != nil {
		m.Errorf("the records are others: %v, %v", err, err2)
	}
	m.must(moved.Close())
}

// finish ends the move, and goes on with what was moved.
func (m moving) finish() {
	m.Helper()
	to := m.to.Store()
	to.Retake()
	l := m.opened(to)
	m.must(to.Filled(), l.Close())
	m.place.Store = m.to.Plain
	m.openIdle()
	for m.steps.Ready(); m.log.Err() != nil; m.steps.Ready() {
		if !m.log.Shared() {
			m.Fatal(m.log.Err())
		}
	}
	m.fill(4)
	two := m.cursor("two", 1)
	reader := m.log.NewReader(two.Acknowledged())
	g := m.drain(reader)
	if len(g.seqs) != 27 || len(g.gaps) > 0 {
		m.Errorf("%d records behind the position that was moved, and %v, want 27", len(g.seqs), g.gaps)
	}
	m.must(reader.Close())
	m.close()
}

// marked holds both stores to their marks.
func (m moving) marked() {
	m.Helper()
	var left *queue.LeftError
	if _, err := m.from.Plain().Recover(m.host()); !errors.As(err, &left) || left.Where != "elsewhere" {
		m.Errorf("a store that was left is opened: %v", err)
	}
	if begun, err := m.to.Store().Reserve(m.host()); begun || !errors.Is(err, queue.ErrNotEmpty) {
		m.Errorf("a store with content is moved to: %t, %v", begun, err)
	}
	again := m.from.Store()
	again.Retake()
	l := m.opened(again)
	m.must(l.Close())
}
