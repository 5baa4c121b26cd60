package remotewrite

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// backend decides on requests as a store does that is asked to refuse some samples.
// Each style answers and keeps what the program of that name was seen to.
type backend struct {
	style string // prometheus, mimir, thanos, cortex
	bad   func(sample) bool
	badEx func(sample) bool // whose exemplars are refused
	noEx  bool              // exemplars are switched off

	mu     sync.Mutex
	newest map[string]sample
	kept   []sample
}

func (k *backend) answer(q *request, _ int) reply {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.newest == nil {
		k.newest = map[string]sample{}
	}
	newest, kept := maps.Clone(k.newest), slices.Clone(k.kept)
	var good, exemplars, goodExemplars int
	for _, s := range q.samples {
		exemplars += len(s.exemplars)
		if !k.take(s) {
			continue
		}
		good++
		if !k.noEx && (k.badEx == nil || !k.badEx(s)) {
			goodExemplars += len(s.exemplars)
		}
	}
	if good == len(q.samples) && (goodExemplars == exemplars || k.noEx) {
		return reply{status: 200, header: k.written(q, good, good, goodExemplars, exemplars)}
	}
	if k.style == "prometheus" && q.protocol == Protocol1 {
		k.newest, k.kept = newest, kept
	}
	p := reply{status: 400, body: "out of bounds", header: k.written(q, good, len(q.samples), goodExemplars, exemplars)}
	switch k.style {
	case "thanos":
		p.status, p.header = 409, nil
	case "cortex":
		p.header = k.written(q, 0, 0, 0, 0)
	}
	return p
}

// take keeps one sample: the newest of its series, or that again.
func (k *backend) take(s sample) bool {
	old, ok := k.newest[s.series]
	switch {
	case k.bad != nil && k.bad(s):
		return false
	case ok && (s.time < old.time || s.time == old.time && s.bits != old.bits):
		return false
	case !ok || s.time > old.time:
		k.kept = append(k.kept, s)
	}
	k.newest[s.series] = s
	return true
}

func (k *backend) written(q *request, good, sent, goodExemplars, exemplars int) map[string]string {
	if q.protocol == Protocol1 {
		return nil
	}
	if k.style == "mimir" {
		good = sent
		if !k.noEx {
			goodExemplars = exemplars
		}
	}
	return map[string]string{
		"X-Prometheus-Remote-Write-Samples-Written":    strconv.Itoa(good),
		"X-Prometheus-Remote-Write-Histograms-Written": "0",
		"X-Prometheus-Remote-Write-Exemplars-Written":  strconv.Itoa(goodExemplars),
	}
}

// got returns how many samples it has.
func (k *backend) got() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.kept)
}

func named(name string) func(sample) bool {
	return func(s sample) bool { return strings.HasPrefix(s.series, name+"{") }
}
