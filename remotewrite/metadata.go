package remotewrite

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang/snappy"

	"github.com/pushbridge/pushbridge/convert"
)

// metadataSender sends the metadata of families to receivers of 1.0, in requests
// of its own (rule M1-2). It is best effort: samples never wait for it.
type metadataSender struct {
	d    *Destination
	back backoff

	mu       sync.Mutex
	families map[string]*family
	bytes    int // of the text of families
	wake     chan struct{}
}

// family is what is known of one, and when it last had a sample.
type family struct {
	info convert.FamilyInfo
	seen time.Time
	due  bool
}

const (
	gatherMetadata = time.Second // new families come in crowds
	forgetFamily   = time.Hour   // of which nothing was sent any more

	maxMetadataBytes = 16 << 20 // of text that is remembered: what does not fit is not sent
)

func newMetadataSender(d *Destination) *metadataSender {
	return &metadataSender{
		d:        d,
		back:     newBackoff(&d.config.Queue),
		families: make(map[string]*family),
		wake:     make(chan struct{}, 1),
	}
}

// note remembers the families of series.
func (m *metadataSender) note(series []convert.Series) {
	if !m.d.config.Metadata.Send {
		return
	}
	now := m.d.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	last, news := "", false
	for i := range series {
		f := &series[i].Family
		if f.Name == last || series[i].Stale {
			continue
		}
		last = f.Name
		news = m.noteLocked(f, now) || news
	}
	if news {
		signal(m.wake)
	}
}

func (m *metadataSender) noteLocked(f *convert.FamilyInfo, now time.Time) bool {
	known := m.families[f.Name]
	if known != nil && known.info == *f {
		known.seen = now
		return false
	}
	bytes := m.bytes + textBytes(f)
	if known != nil {
		bytes -= textBytes(&known.info)
	}
	if bytes > maxMetadataBytes {
		return false
	}
	m.bytes = bytes
	// Copies: the strings of a push keep all of its text alive.
	info := convert.FamilyInfo{
		Name: strings.Clone(f.Name), Help: strings.Clone(f.Help), Unit: strings.Clone(f.Unit), Type: f.Type,
	}
	m.families[info.Name] = &family{info: info, seen: now, due: true}
	return true
}

func textBytes(f *convert.FamilyInfo) int { return len(f.Name) + len(f.Help) + len(f.Unit) }

// run sends new families soon, and all of them every send_interval.
func (m *metadataSender) run(ctx context.Context) {
	if !m.d.config.Metadata.Send {
		return
	}
	tick := time.NewTicker(time.Duration(m.d.config.Metadata.SendInterval))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.allDue()
		case <-m.wake:
			if !sleep(ctx, gatherMetadata) {
				return
			}
		}
		if m.d.line.negotiation.current() == Protocol1 {
			m.send(ctx, m.take())
		}
	}
}

// allDue makes all families due, and forgets those that nothing was sent of for
// long.
func (m *metadataSender) allDue() {
	limit := m.d.now().Add(-forgetFamily)
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.families, func(_ string, f *family) bool { return f.seen.Before(limit) })
	m.bytes = 0
	for _, f := range m.families {
		f.due = true
		m.bytes += textBytes(&f.info)
	}
}

// take returns the families that are due, by name.
func (m *metadataSender) take() []convert.FamilyInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []convert.FamilyInfo
	for _, f := range m.families {
		if f.due {
			f.due = false
			due = append(due, f.info)
		}
	}
	slices.SortFunc(due, func(a, b convert.FamilyInfo) int { return strings.Compare(a.Name, b.Name) })
	return due
}

func (m *metadataSender) send(ctx context.Context, due []convert.FamilyInfo) {
	for len(due) > 0 {
		n := m.fitting(due)
		if !m.sendPart(ctx, due[:n]) {
			return
		}
		due = due[n:]
	}
}

// fitting returns how many of due, from the first on, fit into a request: one at
// least.
func (m *metadataSender) fitting(due []convert.FamilyInfo) int {
	most := min(len(due), m.d.config.Metadata.MaxSamplesPerSend)
	bytes := 0
	for i := range due[:most] {
		if bytes += textBytes(&due[i]); i > 0 && bytes > maxBatchBytes {
			return i
		}
	}
	return most
}

// sendPart sends one request by the same rules as samples. It returns false at
// the end.
func (m *metadataSender) sendPart(ctx context.Context, part []convert.FamilyInfo) bool {
	var body buffer
	body.fill(func(dst []byte) []byte { return snappy.Encode(dst, appendMetadata1(nil, part)) })
	_, _, err := m.d.line.exchange(ctx, ctx, Protocol1, &body, &m.back, &metadataPart{m.d, float64(len(part)), float64(len(body.bytes))})
	return err == nil
}

// metadataPart is a request with metadata of so many families.
type metadataPart struct {
	d            *Destination
	count, bytes float64
}

func (p *metadataPart) ready() bool {
	p.d.metrics.metadata.sent.Add(p.count)
	p.d.metrics.metadata.bytes.Add(p.bytes)
	return true
}

func (p *metadataPart) judged(a answer, v verdict) verdict {
	if v != delivered && v != again {
		p.d.metrics.metadata.failed.Add(p.count)
		p.d.log.Debug("metadata refused", "status", a.status, "answer", a.problem())
	}
	return v
}

func (p *metadataPart) again(answer) { p.d.metrics.metadata.retried.Add(p.count) }
