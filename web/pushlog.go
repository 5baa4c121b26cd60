package web

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// pushLog remembers the latest pushes of all groups together.
type pushLog struct {
	seed maphash.Seed

	mu     sync.Mutex
	latest ring[pushEntry]
	count  trafficPoint
}

// pushEntry is one push. The group is known by a hash: its labels would keep a group
// that has ended in memory.
type pushEntry struct {
	group   uint64
	time    int64 // ns since the epoch
	samples uint32
	kind    group.Kind
	added   bool // to what was there
}

// pushView is one push as the page shows it.
type pushView struct {
	When    stampView
	What    string
	Samples uint32
}

// Observe takes down a record that is kept. It costs far less than the record did.
func (h *History) Observe(r *group.Record) {
	switch r.Kind {
	case group.KindPut, group.KindPost, group.KindDelete, group.KindFail:
	case group.KindClock, group.KindRefresh:
		return
	}
	if r.Labels.IsJob() {
		return
	}
	e := pushEntry{group: h.pushes.hash(r.Labels), time: r.Time * 1e6, samples: uint32(r.Samples()), kind: r.Kind, added: r.Merge.Pushes > 1}
	h.pushes.add(e)
}

func (l *pushLog) hash(labels group.Labels) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for _, p := range labels {
		h.WriteString(p.Name)
		h.WriteByte(0xff)
		h.WriteString(p.Value)
		h.WriteByte(0xff)
	}
	return h.Sum64()
}

func (l *pushLog) add(e pushEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latest.add(e)
	if e.kind == group.KindPut || e.kind == group.KindPost {
		l.count.pushes++
		l.count.samples += uint64(e.samples)
	}
}

func (l *pushLog) total() trafficPoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// pushesOf returns the latest pushes of a group, the latest first.
func (h *History) pushesOf(labels group.Labels, most int, now time.Time) []pushView {
	if h == nil {
		return nil
	}
	l, of := &h.pushes, h.pushes.hash(labels)
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []pushView
	for e := range l.latest.backwards() {
		if e.group != of {
			continue
		}
		what := pushWords(e.kind)
		if e.added && e.kind == group.KindPost {
			what = "POST, which was added up"
		}
		if out = append(out, pushView{stamp(e.time, now), what, e.samples}); len(out) == most {
			break
		}
	}
	return out
}

func pushWords(k group.Kind) string {
	switch k {
	case group.KindPut:
		return "PUT, which replaced the group"
	case group.KindPost:
		return "POST, which replaced families"
	case group.KindDelete:
		return "DELETE"
	case group.KindFail:
		return "refused"
	case group.KindRefresh, group.KindClock: // nobody's push
	}
	return ""
}
