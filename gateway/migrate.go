package gateway

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

// Migration moves the content of one store to another one, while no gateway uses either.
// Whenever it is cut short, running it once more brings it to its end: so long the store
// that is moved to is opened by nobody else, and the other one is as it was. In the end it
// is the other way round.
type Migration struct {
	From, To func() queue.Movable // another one for each time that it is opened
	Source   string               // what the stores are called
	Target   string

	// Carry moves what is beside the logs, which are held and do not run.
	Carry func(from, to *Gateway) error

	Logger *slog.Logger
	Now    func() time.Time
}

// Migrated is what was moved.
type Migrated struct {
	queue.Moved
	Groups int
}

// Why a store cannot be moved from.
var (
	errInUse   = errors.New("it is in use: stop whatever writes to it first")
	errNothing = errors.New("there is nothing in it")
)

// Run moves everything, compares the two stores, and marks the first.
func (m Migration) Run() (done Migrated, err error) {
	from, source, to, err := m.open()
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if done, err = m.fill(source, to); err != nil {
		return done, errors.Join(fmt.Errorf("move to %s: %w", m.Target, err), to.Close())
	}
	if err := to.Close(); err != nil {
		return done, err
	}
	to = m.To()
	to.Retake()
	target, err := Open(to, m.options())
	if err != nil {
		return done, fmt.Errorf("read back what was moved to %s: %w", m.Target, err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if _, err := to.Hold(); err != nil {
		return done, err
	}
	if err := compare(source, target); err != nil {
		return done, err
	}
	if err := m.Carry(source, target); err != nil {
		return done, err
	}
	if err := from.Leave(fmt.Sprintf("%s at %s", m.Target, m.Now().UTC().Format(time.RFC3339))); err != nil {
		return done, fmt.Errorf("mark %s: %w", m.Source, err)
	}
	return done, to.Filled()
}

func (m Migration) options() Options { return Options{Logger: m.Logger, Now: m.Now} }

// open opens the store to move from, and reserves the other one. A mark of the first does
// not count while the second is unfinished: it comes before that has come to its end.
func (m Migration) open() (from queue.Movable, source *Gateway, to queue.Movable, err error) {
	from, to = m.From(), m.To()
	source, err = Open(from, m.options())
	left := errors.As(err, new(*queue.LeftError))
	if err != nil && !left {
		return nil, nil, nil, fmt.Errorf("move from %s: %w", m.Source, err)
	}
	begun, rerr := to.Reserve(queue.NewHost(m.Logger, m.Now))
	switch {
	case rerr != nil:
		return nil, nil, nil, errors.Join(fmt.Errorf("move to %s: %w", m.Target, rerr), source.abandon())
	case left && begun:
		from = m.From()
		from.Retake()
		source, err = Open(from, m.options())
	}
	if err == nil {
		err = source.hold(from)
	}
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("move from %s: %w", m.Source, err), source.abandon(), to.Close())
	}
	return from, source, to, nil
}

// hold sees to it that nobody else writes the store that g was read from.
func (g *Gateway) hold(s queue.Movable) error {
	head, err := s.Hold()
	switch {
	case err != nil:
		return err
	case head != g.log.Head():
		return errInUse
	case head == 0 && len(g.log.Cursors()) == 0:
		return errNothing
	}
	return nil
}

// abandon closes g, if it was opened.
func (g *Gateway) abandon() error {
	if g == nil {
		return nil
	}
	return g.Close()
}

// fill makes to what the source is.
func (m Migration) fill(source *Gateway, to queue.Movable) (done Migrated, err error) {
	l, v := source.log, source.state.View()
	done.Groups = len(v.Groups)
	if err := to.Fill(l.Identity()); err != nil {
		return done, err
	}
	if done.Moved, err = queue.ContentOf(l).Move(to); err != nil {
		return done, err
	}
	at := queue.Snapshot{Seq: l.Head(), Floor: max(v.Floor, l.Floor()), Total: l.Samples(), Created: m.Now()}
	return done, to.WriteSnapshot(at, func(w io.Writer) error { return group.EncodeSnapshot(w, v) })
}

// compare returns in what two gateways differ.
func compare(a, b *Gateway) error {
	var wrong []error
	say := func(same bool, what string, here, there any) {
		if !same {
			wrong = append(wrong, fmt.Errorf("%s are not the same: %v, and %v", what, here, there))
		}
	}
	say(a.log.Identity() == b.log.Identity(), "identities", a.store, b.store)
	say(a.log.Head() == b.log.Head(), "last sequences", a.log.Head(), b.log.Head())
	say(a.log.Samples() == b.log.Samples(), "books", a.log.Samples(), b.log.Samples())
	say(a.log.Floor() == b.log.Floor(), "newest timestamps", a.log.Floor(), b.log.Floor())
	before, after := queue.ContentOf(a.log), queue.ContentOf(b.log)
	here, there := before.Cursors(), after.Cursors()
	say(reflect.DeepEqual(here, there), "positions and books of destinations", here, there)
	state, moved := a.state.View(), b.state.View()
	say(state.Sum() == moved.Sum(), "states", len(state.Groups), len(moved.Groups))
	records, err := before.Digest()
	copied, err2 := after.Digest()
	say(records == copied, "records", fmt.Sprintf("%x", records[:4]), fmt.Sprintf("%x", copied[:4]))
	if err := errors.Join(append(wrong, err, err2)...); err != nil {
		return fmt.Errorf("what was moved is not what was there, and is not to be used: %w", err)
	}
	return nil
}
