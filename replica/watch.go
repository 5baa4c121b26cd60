package replica

import (
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

const (
	lastWord     = 500 * time.Millisecond // what an answer may take when its leader is none any more
	lookInterval = 50 * time.Millisecond
)

// wait is one for an answer of the replica that leads.
type wait struct {
	epoch  uint64    // of the one that was asked
	end    time.Time // then it is enough
	cancel func()    // which may be called more than once
	at     int       // in waits.all
}

// waits are all of them. One goroutine looks after them while there are any: an answer is
// waited for as long as the one that gives it leads, and a moment longer.
type waits struct {
	leader func() queue.Leader

	mu      sync.Mutex
	all     []*wait
	looking bool
}

// add begins to look after w.
func (s *waits) add(w *wait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.at = len(s.all)
	s.all = append(s.all, w)
	if !s.looking {
		s.looking = true
		go s.look()
	}
}

// remove ends that.
func (s *waits) remove(w *wait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.all) - 1
	s.all[w.at] = s.all[last]
	s.all[w.at].at = w.at
	s.all[last] = nil
	s.all = s.all[:last]
}

// look ends what has waited for too long, until a look finds nobody who waits.
func (s *waits) look() {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for now := range tick.C {
		l := s.leader()
		if !s.hurry(now, &l) {
			return
		}
	}
}

func (s *waits) hurry(now time.Time, newest *queue.Leader) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.all {
		if newest.Over(w.epoch) {
			w.end = earlier(w.end, now.Add(lastWord))
		}
		if now.After(w.end) {
			w.cancel()
		}
	}
	s.looking = len(s.all) > 0
	return s.looking
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
