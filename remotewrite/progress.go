package remotewrite

// stretch is a part of a shard's way through the log: up to seq everything was
// delivered, given up, or set aside. As long as something is set aside neither it nor
// what comes behind it is acknowledged.
type stretch struct {
	seq, total uint64  // its end, and samples of the log up to there
	open       int     // parts of batches that are tried elsewhere
	settled    outcome // what the cursor learns together with seq
}

// progress is what a shard has done and not acknowledged. The ledger's lock guards it.
type progress struct {
	done []*stretch // oldest first; the first one is open
	now  *stretch
}

// pass ends the stretch at hand. It returns what can be acknowledged, nil for nothing.
func (p *progress) pass(seq, total uint64) *stretch {
	s := p.now
	s.seq, s.total = seq, total
	p.now = &stretch{}
	if n := len(p.done); n > 0 && s.open == 0 && p.done[n-1].open == 0 {
		p.done[n-1].end(s)
	} else {
		p.done = append(p.done, s)
	}
	var ready *stretch
	for len(p.done) > 0 && p.done[0].open == 0 {
		if ready == nil {
			ready = p.done[0]
		} else {
			ready.end(p.done[0])
		}
		p.done = p.done[1:]
	}
	return ready
}

// end makes s reach to the end of next.
func (s *stretch) end(next *stretch) {
	s.seq, s.total = next.seq, next.total
	s.settled.Add(&next.settled)
}
