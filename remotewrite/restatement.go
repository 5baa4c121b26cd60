package remotewrite

import (
	"sync/atomic"

	"github.com/pushbridge/pushbridge/group"
)

// Restatement is the state at one moment: every group once, newly stamped. It has a
// place in the log, behind the clock mark that keeps its timestamps, and is known to
// be right only when that mark is durable.
type Restatement struct {
	Records []*group.Record

	mark   atomic.Uint64 // its sequence; 0: not known yet
	failed atomic.Bool   // the mark, and with it perhaps groups that the state has
}

// Settle says what became of the clock mark. It must be called before readers of the
// log see the mark.
func (r *Restatement) Settle(seq uint64, err error) {
	if err != nil {
		r.failed.Store(true)
		return
	}
	r.mark.Store(seq)
}

// due reports whether the state in r, if there is one, is to be handed out now, behind
// what was handed out of the log. One whose mark has failed, or cannot be read any
// more, is exchanged for a new one.
func (x *dispatcher) due(r **Restatement, ask func() *Restatement) bool {
	if *r == nil {
		return false
	}
	mark := (*r).mark.Load()
	if (*r).failed.Load() || mark != 0 && x.at > mark {
		*r = ask()
		mark = (*r).mark.Load()
	}
	return mark != 0 && x.at == mark
}
