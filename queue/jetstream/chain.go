package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// chain is the end of the stream as a writer sees it. One goroutine owns it, which does
// what is asked of it one after the other: what has come together while a message was
// on its way shares the next one.
type chain struct {
	st   stream
	v    *view
	o    Options
	log  *slog.Logger
	now  func() time.Time
	wait func(time.Duration) // observes how long a batch took

	requests chan *request
	followed chan message // from the servers
	moved    chan struct{}
	ctx      context.Context //nolint:containedctx // of the goroutine, and of what it asks for
	ended    chan struct{}

	written atomic.Pointer[time.Time] // when the last message was sent that was stored

	// Of the goroutine.
	standing
	scratch []byte
	company company
}

// request is something to do. It is answered once.
type request struct {
	add     func(*writing) // appends items; nil for others than writes
	records int            // of the log, among them
	do      func() error   // instead of add
	answer  chan error
}

// writing is a batch that is being put together.
type writing struct {
	body    []byte
	next    uint64 // sequence of the next record
	total   uint64
	rolled  bool // a part has ended
	scratch []byte
}

// Reasons why nothing is written.
var (
	errNeverLed        = errors.New("this replica does not lead")
	errFenced    error = elsewhere("another replica leads now")
	errLeaseOver error = elsewhere("this replica has not reached the stream for longer than its lease")
	errEnded           = errors.New("the store is closed")
)

// elsewhere is a queue.ErrElsewhere, and why.
type elsewhere string

func (e elsewhere) Error() string { return string(e) + ": " + queue.ErrElsewhere.Error() }
func (elsewhere) Unwrap() error   { return queue.ErrElsewhere }

// maxShared bounds how many requests share a message.
const maxShared = 1024

func newChain(ctx context.Context, st stream, v *view, o Options, h queue.Host) *chain {
	c := &chain{
		st: st, v: v, o: o, log: h.Logger, now: h.Now, standing: standing{lost: errNeverLed},
		wait:     func(d time.Duration) { h.Metrics.FsyncSeconds.Observe(d.Seconds()) },
		requests: make(chan *request, maxShared), moved: make(chan struct{}, 1), followed: make(chan message, maxFollowed), ctx: ctx, ended: make(chan struct{}),
	}
	c.written.Store(new(time.Time))
	return c
}

// write appends items to the log. When it returns nil they are durable.
func (c *chain) write(add func(*writing)) error { return c.ask(&request{add: add}) }

// commit is write for items that are n records.
func (c *chain) commit(n int, add func(*writing)) error { return c.ask(&request{add: add, records: n}) }

// run does f while nothing else is done.
func (c *chain) run(f func() error) error { return c.ask(&request{do: f}) }

func (c *chain) ask(r *request) error {
	r.answer = make(chan error, 1)
	select {
	case c.requests <- r:
	case <-c.ended:
		return errEnded
	}
	select {
	case err := <-r.answer:
		return err
	case <-c.ended:
		select {
		case err := <-r.answer:
			return err
		default:
			return errEnded
		}
	}
}

// loop is the goroutine.
func (c *chain) loop() {
	defer close(c.ended)
	beat := time.NewTicker(c.o.Lease / 10)
	defer beat.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case r := <-c.requests:
			c.serve(r)
		case m := <-c.followed:
			c.hear(m)
		case <-beat.C:
			c.beat()
			c.probe()
		}
	}
}

// serve does r, and with it the writes that wait behind it.
func (c *chain) serve(r *request) {
	var writes []*request
	records := 0
	for n := 0; r != nil; n++ {
		if r.add != nil {
			writes = append(writes, r)
			records += r.records
		} else {
			c.flush(writes, records)
			writes, records = nil, 0
			r.answer <- r.do()
		}
		if n == maxShared {
			break
		}
		r = c.another(len(writes) > 0 && records == 0)
	}
	c.flush(writes, records)
}

// another returns a request that waits. Where there is none it returns nil, at once
// unless the writes at hand can wait for records that are likely to come.
func (c *chain) another(patient bool) *request {
	select {
	case r := <-c.requests:
		return r
	default:
	}
	if !patient {
		return nil
	}
	patience := c.company.patience(time.Now())
	if patience <= 0 {
		return nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-c.requests:
		return r
	case <-timer.C:
	case <-c.ctx.Done():
	}
	return nil
}

// flush writes one batch with all that the requests add, records among it, and answers
// them.
func (c *chain) flush(writes []*request, records int) {
	if len(writes) == 0 {
		return
	}
	began := time.Now()
	err := c.reclaim()
	if err == nil {
		err = c.append(func(w *writing) {
			for _, r := range writes {
				r.add(w)
			}
		})
	}
	if records > 0 && err == nil {
		c.company.note(records, began, time.Now())
	}
	for _, r := range writes {
		r.answer <- err
	}
}

// poke says that there is something to look at.
func (c *chain) poke() {
	select {
	case c.moved <- struct{}{}:
	default:
	}
}

// beat tells the others that this replica lives, if nothing else has.
func (c *chain) beat() {
	if c.leads && time.Since(*c.written.Load()) >= c.o.Lease/3 {
		_ = c.append(func(*writing) {}) // what fails ends the leading, and check says so
	}
}

// append writes a batch, in front of it a checkpoint if one is due.
func (c *chain) append(add func(*writing)) error {
	began := time.Now()
	h := header{epoch: c.tried.epoch, nonce: c.tried.nonce}
	c.v.mu.RLock()
	h.prev, h.before, h.checkpoint = c.v.head.Seq, c.v.head.Total, c.v.checkpoint
	h.first = max(c.v.head.Seq, c.v.void) + 1
	due := c.partFullLocked()
	c.v.mu.RUnlock()
	w := &writing{next: h.first, total: h.before, scratch: c.scratch}
	if due {
		h.checkpoint, w.rolled = 0, h.checkpoint != 0
		w.body = appendItem(nil, itemCheckpoint, c.v.appendCheckpoint(nil))
	}
	add(w)
	c.scratch = w.scratch
	if cap(c.scratch) > maxScratch {
		c.scratch = nil
	}
	for _, m := range messages(h, w.body) {
		if err := c.publish(m); err != nil {
			c.leads, c.lost = false, err
			return err
		}
	}
	c.wait(time.Since(began))
	return nil
}

// maxScratch is the largest scratch space that is kept.
const maxScratch = 4 * mib

func (c *chain) partFullLocked() bool {
	if len(c.v.parts) == 0 {
		return true
	}
	p := &c.v.parts[len(c.v.parts)-1]
	return p.bytes >= c.o.PartBytes || p.count >= maxPartMessages
}

// attemptTime is how long one attempt may take: when the stream has lost its leader, a
// server that knows nothing of it yet never answers.
const attemptTime = time.Second

// publish stores the next message. It returns nil when it is stored, errFenced when
// it never will be, and something else when that was not to be found out in time.
func (c *chain) publish(m []byte) error {
	give := time.Now().Add(c.o.Patience)
	for n := 0; ; n++ {
		began := time.Now()
		err := c.attempt(m)
		if err == nil {
			c.written.Store(&began)
			return c.v.fold(message{c.v.last() + 1, m})
		}
		if errors.Is(err, errFenced) || errors.As(err, new(refusal)) {
			return err
		}
		if time.Now().After(give) {
			return fmt.Errorf("write to the stream: %w", err)
		}
		if !errors.Is(err, errAgain) {
			n += 4
		}
		if !c.pause(min(time.Millisecond<<min(n, 8), 100*time.Millisecond)) {
			return errEnded
		}
	}
}

// pause returns false when the store is closed meanwhile.
func (c *chain) pause(d time.Duration) bool {
	select {
	case <-time.After(d/2 + rand.N(d/2+1)):
		return true
	case <-c.ctx.Done():
		return false
	}
}

// attempt publishes m once, and finds out what became of it.
func (c *chain) attempt(m []byte) error {
	expect := c.v.last()
	ctx, cancel := context.WithTimeout(c.ctx, attemptTime)
	seq, err := c.st.publish(ctx, m, expect)
	cancel()
	switch {
	case err == nil && seq == expect+1:
		return nil
	case err == nil:
		return refusal{fmt.Errorf("the stream gave a message the sequence %d, and %d was expected", seq, expect+1)}
	case errors.Is(err, errAgain) || errors.As(err, new(refusal)):
		return err
	}
	return c.resolve(m, expect+1, err)
}

// resolve finds out what became of a message after an answer that does not say so:
// whatever stands at its place is it, or keeps it out for ever.
func (c *chain) resolve(m []byte, seq uint64, cause error) error {
	ctx, cancel := context.WithTimeout(c.ctx, attemptTime)
	defer cancel()
	stored, err := c.st.get(ctx, seq)
	switch {
	case err == nil && bytes.Equal(stored, m):
		return nil
	case err == nil:
		return errFenced
	}
	return cause // it is not there, or that is not known: the same again
}

// catchUp folds in everything that the stream has.
func (c *chain) catchUp() error { return c.catchUpWithin(c.o.Patience) }

func (c *chain) catchUpWithin(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	_, last, err := c.st.ends(ctx)
	if err != nil {
		return fmt.Errorf("ask for the end of the stream: %w", err)
	}
	if last < c.v.last() {
		return fmt.Errorf("the stream ends at message %d, and message %d was seen: it was made anew or reset; restart to go on with what is there", last, c.v.last())
	}
	return readTo(ctx, c.st, c.v.last()+1, last, c.v.fold)
}

// last returns the last message that was folded in.
func (v *view) last() uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.at
}

// readTo calls f with the messages from next to last, in order. What is missing is
// known to be.
func readTo(ctx context.Context, st stream, next, last uint64, f func(message) error) error {
	for next <= last {
		some, err := st.read(ctx, next)
		if err != nil {
			return fmt.Errorf("read the stream from message %d: %w", next, err)
		}
		if len(some) == 0 || some[0].seq != next {
			if some, err = missing(ctx, st, next, last, some); err != nil {
				return err
			}
		}
		for _, m := range some {
			if m.seq > last {
				return nil
			}
			if err := f(m); err != nil {
				return err
			}
			next = m.seq + 1
		}
		if len(some) == 0 {
			return nil
		}
	}
	return nil
}

// missing asks the stream's leader whether the message next is really not there, and
// returns what comes instead.
func missing(ctx context.Context, st stream, next, last uint64, some []message) ([]message, error) {
	b, err := st.get(ctx, next)
	switch {
	case err == nil:
		return []message{{next, b}}, nil
	case !errors.Is(err, errNone):
		return nil, fmt.Errorf("read message %d: %w", next, err)
	case len(some) > 0:
		return some, nil
	}
	first, _, err := st.ends(ctx)
	if err != nil {
		return nil, err
	}
	for seq := max(next+1, first); seq <= last; seq++ {
		if b, err = st.get(ctx, seq); err == nil {
			return []message{{seq, b}}, nil
		}
		if !errors.Is(err, errNone) {
			return nil, err
		}
	}
	return nil, nil
}
