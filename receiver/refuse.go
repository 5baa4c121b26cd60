package receiver

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// refuseFault refuses some samples, and does with the others of a request what a
// backend does. While it is there, so are samples that are not newer than what their
// series has, except that its newest may come again.
type refuseFault struct {
	when
	As      string            `json:"as"`                // the backend: see backendOf
	Match   map[string]string `json:"match,omitempty"`   // labels of what is refused
	Natives bool              `json:"natives,omitempty"` // so are native histograms
	Body    string            `json:"body,omitempty"`    // of the answer
}

// backend is how a receiver treats a request of which it refuses something.
type backend struct {
	status int
	rolls  func(protocol int) bool         // keeps nothing of it
	counts func(kept, sent [3]int) *[3]int // samples, histograms, exemplars written, as it says
}

func never(int) bool  { return false }
func always(int) bool { return true }

// backendOf knows those that were measured, and one that is broken: it stumbles over
// such a request each time.
func backendOf(name string) (b backend, ok bool) {
	switch name {
	case "prometheus":
		return backend{http.StatusBadRequest, func(p int) bool { return p == 1 }, func(kept, _ [3]int) *[3]int { return &kept }}, true
	case "mimir":
		return backend{http.StatusBadRequest, never, func(_, sent [3]int) *[3]int { return &sent }}, true
	case "cortex":
		return backend{http.StatusBadRequest, never, func(_, _ [3]int) *[3]int { return &[3]int{} }}, true
	case "thanos":
		return backend{http.StatusConflict, never, func(_, _ [3]int) *[3]int { return nil }}, true
	case "broken":
		return backend{http.StatusInternalServerError, always, func(_, _ [3]int) *[3]int { return nil }}, true
	}
	return backend{}, false
}

func (f *refuseFault) validate() error {
	if _, ok := backendOf(f.As); !ok {
		return fmt.Errorf("refuse.as is %q, want prometheus, mimir, thanos, cortex or broken", f.As)
	}
	return f.when.validate("refuse")
}

// meant says whether s is to be refused.
func (f *refuseFault) meant(s *sample) bool {
	if f.Natives && s.Native() {
		return true
	}
	for name, value := range f.Match {
		if !slices.Contains(s.Labels, label{name, value}) {
			return false
		}
	}
	return len(f.Match) > 0
}

// sift leaves in m what the backend keeps. It returns how it answers, and nil when
// nothing was refused.
func (f *refuseFault) sift(m *message, st *store) *answer {
	b, _ := backendOf(f.As)
	sent := m.count()
	kept := st.newer(m.Samples)
	kept = slices.DeleteFunc(kept, func(s sample) bool { return f.meant(&s) })
	if len(kept) == len(m.Samples) {
		return nil
	}
	m.Samples = kept
	a := &answer{status: b.status, body: f.Body, written: b.counts(m.count(), sent)}
	if b.rolls(m.Protocol) {
		m.Samples = nil
	}
	return a
}

// answer is one to a request of which something was refused.
type answer struct {
	status  int
	body    string
	written *[3]int // nil: no headers
}

// newer returns the samples that a store takes which keeps the order.
func (s *store) newer(samples []sample) []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := map[string]int64{}
	var out []sample
	for i := range samples {
		key := seriesKey(samples[i].Labels)
		at, ok := newest[key]
		if held := s.series[key]; held != nil && !ok {
			at, ok = held.newest, true
			if v, _, _ := held.check(&samples[i]); v == verdictRepeat && samples[i].Time == at {
				ok = false
			}
		}
		if !ok || samples[i].Time > at {
			out = append(out, samples[i])
			newest[key] = samples[i].Time
		}
	}
	return out
}

// count returns how many samples, native histograms and exemplars m has.
func (m *message) count() [3]int {
	natives := 0
	for i := range m.Samples {
		if m.Samples[i].Native() {
			natives++
		}
	}
	return [3]int{len(m.Samples) - natives, natives, m.Exemplars}
}

// setWritten says how much of a 2.0 request was stored. 1.0 has no such headers, and
// senders may take them for a sign of 2.0.
func setWritten(h http.Header, protocol int, n *[3]int) {
	if protocol == 1 || n == nil {
		return
	}
	for i, what := range []string{"Samples", "Histograms", "Exemplars"} {
		h.Set("X-Prometheus-Remote-Write-"+what+"-Written", strconv.Itoa(n[i]))
	}
}
