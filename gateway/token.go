package gateway

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// Token tells a push from the others of its group. It stands in its record, as the digits
// of the push time below a millisecond: so whoever has asked another replica for a push, and
// was never answered, sees in its own fold whether the push was kept.
type Token uint32

const tokens = Token(time.Millisecond) // 1 to this, but for it

// ParseToken returns n as a token, 0 when it can be none.
func ParseToken(n uint64) Token {
	if n >= uint64(tokens) {
		return 0
	}
	return Token(n)
}

type tokenKey struct{}

// With returns a context whose changes carry t.
func (t Token) With(ctx context.Context) context.Context {
	return context.WithValue(ctx, tokenKey{}, t)
}

func tokenOf(ctx context.Context) Token {
	t, _ := ctx.Value(tokenKey{}).(Token)
	return t
}

// mark makes c carry t.
func (t Token) mark(c *group.Change, now time.Time) {
	if c.Push == 0 {
		c.Push = now.Truncate(time.Millisecond).UnixNano() + int64(t)
	}
}

// Awaited is a push that somebody else may have been asked for.
type Awaited struct {
	Token Token

	of  *awaited
	id  string
	seq atomic.Uint64
}

// awaited are the pushes of which it may matter whether others have kept them.
type awaited struct {
	n     atomic.Int64
	mu    sync.Mutex
	byKey map[awaitedKey]*Awaited
}

type awaitedKey struct {
	id    string
	token Token
}

// Await gives a push to the group with this key a token of its own, and watches for it.
// Close ends that.
func (g *Gateway) Await(key group.Labels) *Awaited {
	w := &g.awaited
	a := &Awaited{of: w, id: key.ID()}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKey == nil {
		w.byKey = map[awaitedKey]*Awaited{}
	}
	for a.Token == 0 || w.byKey[awaitedKey{a.id, a.Token}] != nil {
		a.Token = rand.N(tokens)
	}
	w.byKey[awaitedKey{a.id, a.Token}] = a
	w.n.Store(int64(len(w.byKey)))
	return a
}

// Seq returns the sequence of the record that somebody else has committed for the push, 0
// while there is none.
func (a *Awaited) Seq() uint64 { return a.seq.Load() }

// Close ends the watch.
func (a *Awaited) Close() {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	delete(a.of.byKey, awaitedKey{a.id, a.Token})
	a.of.n.Store(int64(len(a.of.byKey)))
}

// saw takes note of a record that somebody else has committed.
func (w *awaited) saw(r *group.Record, seq uint64) {
	if w.n.Load() == 0 || r.Kind != group.KindPut && r.Kind != group.KindPost {
		return
	}
	key := awaitedKey{r.Labels.ID(), Token(r.Push % int64(tokens))}
	w.mu.Lock()
	defer w.mu.Unlock()
	if a := w.byKey[key]; a != nil {
		a.seq.Store(seq)
	}
}
