package remotewrite

import (
	"sync"
	"time"
)

// probeInterval is how long a destination that fell back to 1.0 waits until it
// tries 2.0 again: receivers get upgraded.
const probeInterval = 4 * time.Hour

// negotiation holds what a destination's receiver understands (rules N-3, N-4).
// It lives as long as the process: a restart or reload tries 2.0 again.
type negotiation struct {
	pinned   Protocol // 0: negotiate
	retry429 bool     // what the configuration says
	drops    bool     // what it says of answers that mean the destination, not the samples

	mu      sync.Mutex
	fell    bool      // 1.0 is in use
	unsure  bool      // because of a 400 that could have had another reason
	known2  bool      // a 2.0 request was understood
	probeAt time.Time // when to try 2.0 again
	liar    bool      // a refusal said that everything was written

	nativesAt time.Time // when to try native histograms again
}

func newNegotiation(c *Config, drops bool) *negotiation {
	n := &negotiation{retry429: c.Queue.RetryOnRateLimit, drops: drops}
	switch c.ProtobufMessage {
	case Negotiate:
	case Message1:
		n.pinned = Protocol1
	case Message2:
		n.pinned = Protocol2
	}
	return n
}

// current returns the protocol in use.
func (n *negotiation) current() Protocol {
	if n.pinned != 0 {
		return n.pinned
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fell {
		return Protocol1
	}
	return Protocol2
}

// choose returns the protocol for a new batch. After a fallback one batch now
// and then is a probe in 2.0.
func (n *negotiation) choose(now time.Time) Protocol {
	if n.pinned != 0 {
		return n.pinned
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case !n.fell:
		return Protocol2
	case n.unsure || now.Before(n.probeAt):
		return Protocol1
	}
	n.probeAt = now.Add(probeInterval)
	return Protocol2
}

// terms returns what judge needs to know for an answer to a request in p.
func (n *negotiation) terms(p Protocol) terms {
	n.mu.Lock()
	defer n.mu.Unlock()
	return terms{protocol: p, negotiate: n.pinned == 0, known2: n.known2, retry429: n.retry429, dropMisconfigured: n.drops}
}

// fallBack goes on in 1.0. sure says whether the answer left no doubt that the
// receiver does not understand 2.0. It returns whether that is news.
func (n *negotiation) fallBack(now time.Time, sure bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	news := !n.fell
	n.unsure = !sure && (news || n.unsure)
	n.fell, n.known2 = true, false
	if news {
		n.probeAt = now.Add(probeInterval)
	}
	return news
}

// understood notes that the receiver took samples in p. It returns whether 2.0
// works after it did not.
func (n *negotiation) understood(p Protocol) bool {
	if n.pinned != 0 {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unsure = false
	if p == Protocol1 {
		return false
	}
	back := n.fell
	n.fell, n.known2 = false, true
	return back
}

// startAnew forgets that 2.0 is not understood: the receiver takes 1.0 no more.
func (n *negotiation) startAnew() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fell, n.unsure = false, false
}

// refused notes that not one sample of a batch was taken in 1.0. If 1.0 was only
// a guess it is taken back: the samples were at fault.
func (n *negotiation) refused() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.unsure {
		n.fell, n.unsure = false, false
	}
}

// lied notes that a refusal said that everything was written: the counts of this
// receiver are of what arrived.
func (n *negotiation) lied() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.liar = true
}

func (n *negotiation) lies() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.liar
}
