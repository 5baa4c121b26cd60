package remotewrite

import (
	"sync"
	"time"
)

// meter knows how fast samples come and go: it looks at the books now and then.
type meter struct {
	mu    sync.Mutex
	looks []look // oldest first
}

// look is the books at one moment.
type look struct {
	at                time.Time
	accepted, settled uint64
}

const (
	meterEvery = 5 * time.Second
	meterFor   = time.Minute
)

// note looks at the books if it is time for it.
func (m *meter) note(now time.Time, books func() Books) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.looks); n > 0 && now.Sub(m.looks[n-1].at) < meterEvery {
		return
	}
	m.looks = append(m.looks, lookAt(now, books()))
	for len(m.looks) > 2 && now.Sub(m.looks[1].at) >= meterFor {
		m.looks = m.looks[1:]
	}
}

func lookAt(now time.Time, b Books) look { return look{now, b.Accepted, b.Accepted - b.Pending} }

// pace returns how fast samples come and go, and when nothing is pending if it goes on so.
func (m *meter) pace(now time.Time, b Books) Pace {
	p := Pace{}
	p.In, p.Out = m.rates(now, b)
	if in, ok := catchUp(b.Pending, p.In, p.Out); ok {
		p.CatchUp = &in
	}
	return p
}

// rates returns how many samples came and went a second since the oldest look, which is
// up to a minute ago.
func (m *meter) rates(now time.Time, b Books) (in, out float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.looks) == 0 {
		return 0, 0
	}
	first, last := m.looks[0], lookAt(now, b)
	took := now.Sub(first.at).Seconds()
	if took <= 0 {
		return 0, 0
	}
	return float64(last.accepted-first.accepted) / took, float64(last.settled-first.settled) / took
}

// catchUp returns how long it takes until nothing is pending, if it goes on like this; ok
// is false when it would never be done.
func catchUp(pending uint64, in, out float64) (d time.Duration, ok bool) {
	switch {
	case pending == 0:
		return 0, true
	case out <= in:
		return 0, false
	}
	s := float64(pending) / (out - in)
	if s > maxCatchUp.Seconds() {
		return 0, false
	}
	return time.Duration(s * float64(time.Second)), true
}

// maxCatchUp is the longest time that is worth telling.
const maxCatchUp = 365 * 24 * time.Hour
