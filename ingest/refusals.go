package ingest

import (
	"container/list"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/group"
)

// Refusal is a request that was refused.
type Refusal struct {
	Time    time.Time
	Client  string // the address that the request came from
	Method  string
	Path    string
	GroupID string // empty where the request came to no grouping key
	Job     string
	Status  int
	Reason  string
	Text    string // what the client was told
}

// DefaultRefusedBytes is the memory for refusals without a flag.
const DefaultRefusedBytes = 1 << 20

const (
	maxRefusals    = 1000
	maxRefusalID   = 4096 // bytes of a grouping key, beyond which no group is named
	refusalBytes   = 256  // of one without its texts, about
	refusalsShares = 2    // one for the latest of all, one for the latest of each group
)

// refusals remembers the latest refused requests, and the latest one of each group,
// which others cannot drive out.
type refusals struct {
	count atomic.Uint64 // those that were noted, or would have been

	mu      sync.Mutex
	recent  refusalList
	last    refusalList
	byGroup map[string]*list.Element // of last
}

// refusalList is bounded in number and bytes, the oldest in front.
type refusalList struct {
	list.List
	bytes, limit int64
}

func newRefusals(limit int64, reg prometheus.Registerer) *refusals {
	r := &refusals{byGroup: map[string]*list.Element{}}
	r.recent.limit, r.last.limit = limit/refusalsShares, limit/refusalsShares
	if reg != nil {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pushbridge_ingest_refusals_bytes",
			Help: "Estimated memory of the refused requests that are remembered.",
		}, func() float64 {
			r.mu.Lock()
			defer r.mu.Unlock()
			return float64(r.recent.bytes + r.last.bytes)
		}))
	}
	return r
}

// note remembers a request that was refused.
func (s *refusals) note(r *http.Request, key group.Labels, now time.Time, status int, why reason, text string) {
	s.count.Add(1)
	if s.recent.limit == 0 {
		return
	}
	n := &Refusal{
		Time: now, Client: r.RemoteAddr, Method: group.Brief(r.Method), Path: strings.Clone(group.Brief(r.URL.Path)),
		Job: strings.Clone(group.Brief(key.Job())), Status: status, Reason: string(why), Text: text,
	}
	if id := key.ID(); len(id) <= maxRefusalID {
		n.GroupID = id
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent.push(n)
	for s.recent.tooLong() {
		s.recent.drop(s.recent.Front())
	}
	if n.GroupID == "" {
		return
	}
	if old := s.byGroup[n.GroupID]; old != nil {
		s.last.drop(old)
	}
	s.byGroup[n.GroupID] = s.last.push(n)
	for s.last.tooLong() {
		delete(s.byGroup, s.last.drop(s.last.Front()).GroupID)
	}
}

func (l *refusalList) push(n *Refusal) *list.Element {
	l.bytes += n.size()
	return l.PushBack(n)
}

func (l *refusalList) drop(e *list.Element) *Refusal {
	n := l.Remove(e).(*Refusal)
	l.bytes -= n.size()
	return n
}

func (l *refusalList) tooLong() bool { return l.Len() > maxRefusals || l.bytes > l.limit }

func (n *Refusal) size() int64 {
	return int64(refusalBytes + len(n.Client) + len(n.Method) + len(n.Path) + len(n.GroupID) + len(n.Job) + len(n.Text))
}

// Refusals returns the requests that were refused of late, the latest first.
func (h *Handler) Refusals() []Refusal {
	s := h.refusals
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Refusal, 0, s.recent.Len())
	for e := s.recent.Back(); e != nil; e = e.Prev() {
		out = append(out, *e.Value.(*Refusal))
	}
	return out
}

// Refused returns how many requests were refused since the start.
func (h *Handler) Refused() uint64 { return h.refusals.count.Load() }

// LastRefusal returns the latest request of a group that was refused, if that is
// remembered. id is the group's Labels.ID.
func (h *Handler) LastRefusal(id string) (Refusal, bool) {
	s := h.refusals
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byGroup[id]
	if e == nil {
		return Refusal{}, false
	}
	return *e.Value.(*Refusal), true
}
