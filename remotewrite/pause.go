package remotewrite

import (
	"context"
	"sync"
	"time"
)

// pause holds back all requests of a destination for as long as an operator wants: what
// is to be sent waits in the log, within its bounds, as in an outage.
type pause struct {
	mu    sync.Mutex
	since time.Time     // zero: none
	ended chan struct{} // closed when the pause is over
}

// Pause makes the destination send nothing from now on, but for the requests that are on
// their way. since is when it was asked for.
func (d *Destination) Pause(since time.Time) {
	p := &d.line.pause
	p.mu.Lock()
	if p.ended == nil {
		p.since, p.ended = since, make(chan struct{})
	}
	p.mu.Unlock()
	d.lookNow()
}

// Resume ends the pause, if there is one.
func (d *Destination) Resume() {
	p := &d.line.pause
	p.mu.Lock()
	if p.ended != nil {
		close(p.ended)
		p.since, p.ended = time.Time{}, nil
	}
	p.mu.Unlock()
	d.lookNow()
}

// began returns since when the destination is paused, the zero time when it is not.
func (p *pause) began() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since
}

// pass waits until there is no pause. It returns false if ctx ended before that.
func (p *pause) pass(ctx context.Context) bool {
	for {
		p.mu.Lock()
		ended := p.ended
		p.mu.Unlock()
		if ended == nil {
			return true
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return false
		}
	}
}
