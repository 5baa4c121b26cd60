package queue

// MaxOutcome is how many places Outcome has.
const MaxOutcome = 32

// Outcome is samples by what became of them. Which place stands for what is the
// business of those who read the log; here only the sum matters.
type Outcome [MaxOutcome]uint64

// Sum returns how many samples they are in all.
func (o *Outcome) Sum() uint64 {
	var n uint64
	for _, v := range o {
		n += v
	}
	return n
}

// Add adds more. What is taken back is added as the negative number that it is in
// uint64: see Cursor.Settle.
func (o *Outcome) Add(more *Outcome) {
	for i, v := range more {
		o[i] += v
	}
}

// Ledger is what has become of the samples of one destination since it began,
// over all restarts. It is written together with the positions, so that the two
// never disagree: a sample is settled in it exactly when the records up to its own
// are acknowledged for its shard, or when it was counted as missed.
type Ledger struct {
	Begun    uint64  // samples that the log had ever held when the destination began
	Again    uint64  // samples that were settled once and go out again, see Cursor.Reshard
	MissedTo uint64  // sequence up to which Settled has what can never be read
	Settled  Outcome // samples that are settled
}

// Accepted returns how many samples the destination was to get when the log had
// ever held total.
func (l *Ledger) Accepted(total uint64) uint64 { return total - l.Begun + l.Again }

// Pending returns how many of them are not settled.
func (l *Ledger) Pending(total uint64) uint64 { return minus(l.Accepted(total), l.Settled.Sum()) }

// rebase brings the ledger in line with the smallest acknowledged position, where
// the log had held total: what was settled behind it goes out again.
func (l *Ledger) rebase(total uint64) {
	if l.Begun == UnknownTotal {
		l.Begun, l.Again = total, 0
	}
	if l.Again == UnknownTotal {
		l.Again = l.Settled.Sum() + l.Begun - total
	}
}

// Based says whether the books are in line with the positions: they are not when a
// store has only positions, before the cursor is opened.
func (l *Ledger) Based() bool { return l.Begun != UnknownTotal && l.Again != UnknownTotal }

// Ledger returns the books of the destination, and the sequence up to which some of
// what they count lies: behind it nothing is settled.
func (c *Cursor) Ledger() (l Ledger, upTo uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	upTo = c.ledger.MissedTo
	for _, p := range c.shards {
		upTo = max(upTo, p.Acked)
	}
	return c.ledger, upTo
}

// Settle is Acked with the books: total is what all records up to seq held, as
// Reader.Total has it, and n is what became of the samples of the shard's records
// since it was called last. It may also change what became of samples that were
// settled before: then it takes away as many as it adds. With total, what the destination loses is counted
// exactly also when the records around seq were dropped before it got there.
func (c *Cursor) Settle(shard int, seq, total uint64, n Outcome) error {
	return c.SettleAll(Settled{shard, seq, total, n})
}

// Settled is what Settle is told.
type Settled struct {
	Shard      int
	Seq, Total uint64
	Outcome    Outcome
}

// SettleAll is Settle for several shards, with one write for all.
func (c *Cursor) SettleAll(all ...Settled) error {
	return c.update(func() (changed bool) {
		for i := range all {
			changed = c.settleLocked(&all[i]) || changed
		}
		return changed
	})
}

func (c *Cursor) settleLocked(s *Settled) (changed bool) {
	c.ledger.Settled.Add(&s.Outcome)
	p := &c.shards[s.Shard]
	if p.Started && s.Seq <= p.Acked {
		return s.Outcome != Outcome{}
	}
	p.Started = true
	if s.Seq > p.Acked || s.Seq == p.Acked && s.Total != UnknownTotal {
		p.Acked, p.Base = s.Seq, s.Total
	}
	p.Sent = max(p.Sent, p.Acked)
	return true
}

// Missed notes that n samples of records up to seq can never be read. No shard
// moves: they may have records to settle before that.
func (c *Cursor) Missed(seq uint64, n Outcome) error {
	return c.update(func() bool {
		c.ledger.Settled.Add(&n)
		c.ledger.MissedTo = max(c.ledger.MissedTo, seq)
		return true
	})
}

// Repeat notes that n samples go out that are settled already, and are accepted
// once more: the log has forgotten that it had them.
func (c *Cursor) Repeat(n uint64) error {
	return c.update(func() bool {
		c.ledger.Again += n
		return true
	})
}

// rebase brings the ledger in line with the positions, if it is not.
func (c *Cursor) rebase() error {
	c.mu.Lock()
	based, acked := c.ledger.Based(), c.ackedLocked()
	c.mu.Unlock()
	if based {
		return nil
	}
	total, _ := c.reg.totalAt(acked)
	return c.update(func() bool {
		c.ledger.rebase(total)
		return true
	})
}
