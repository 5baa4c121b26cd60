package deadletter

import (
	"cmp"
	"maps"
	"slices"
)

// index is what the files say, without the samples: what a letter weighs in memory does
// not depend on what is in it.
type index struct {
	ledger
	letters map[uint64]*entry
	inFile  map[uint64]int    // how many of them
	names   map[string]string // of destinations and reasons: one string for all letters
}

// entry is where a letter is.
type entry struct {
	id, seq     uint64
	destination string // shared by all of a destination
	reason      string // shared, too
	samples     uint64
	given       int64 // when they were given up, in ms
	file        uint64
	at, length  int
	shard       int32
	settled     bool
	tried       bool
}

func newIndex() *index {
	return &index{
		ledger:  ledger{Next: 1, Accounts: map[string]Account{}},
		letters: map[uint64]*entry{},
		inFile:  map[uint64]int{},
		names:   map[string]string{},
	}
}

// apply takes a frame of a file in. A frame that it does not understand counts as damage.
func (x *index) apply(file uint64, f frame) bool {
	switch f.kind {
	case kindLedger:
		var l ledger
		if _, err := decode(f.payload, &l); err != nil {
			return false
		}
		l.Next = max(l.Next, x.Next)
		if l.Accounts == nil {
			l.Accounts = map[string]Account{}
		}
		x.ledger = l
	case kindLetter:
		var l Letter
		if _, err := decode(f.payload, &l); err != nil {
			return false
		}
		x.put(&l, file, f)
	case kindSettled:
		var m settledMark
		if _, err := decode(f.payload, &m); err != nil {
			return false
		}
		x.settle(m)
	case kindTakeBack:
		var ids []uint64
		if _, err := decode(f.payload, &ids); err != nil {
			return false
		}
		x.remove(ids)
	case kindRedeemed:
		var r Redeemed
		if _, err := decode(f.payload, &r); err != nil {
			return false
		}
		x.redeem(&r, file, f)
	case kindTried:
		var m triedMark
		if _, err := decode(f.payload, &m); err != nil {
			return false
		}
		for _, id := range m.IDs {
			if e := x.letters[id]; e != nil {
				e.tried = m.Tried
			}
		}
	}
	return true
}

func (x *index) put(l *Letter, file uint64, f frame) *entry {
	x.remove([]uint64{l.ID})
	e := &entry{
		id: l.ID, seq: l.Seq, samples: l.Samples, shard: int32(l.Shard), given: l.Time.UnixMilli(),
		file: file, at: f.at, length: f.end - f.at,
		destination: x.shared(l.Destination), reason: x.shared(l.Reason),
	}
	if _, ok := x.Accounts[e.destination]; !ok {
		x.Accounts[e.destination] = Account{}
	}
	x.letters[l.ID] = e
	x.inFile[file]++
	x.Next = max(x.Next, l.ID+1)
	return e
}

func (x *index) shared(name string) string {
	if _, ok := x.names[name]; !ok {
		x.names[name] = name
	}
	return x.names[name]
}

func (x *index) settle(m settledMark) {
	for _, e := range x.letters {
		e.settled = e.settled || e.destination == m.Destination && e.id <= m.UpTo
	}
}

func (x *index) remove(ids []uint64) {
	for _, id := range ids {
		e := x.letters[id]
		if e == nil {
			continue
		}
		delete(x.letters, id)
		if x.inFile[e.file]--; x.inFile[e.file] == 0 {
			delete(x.inFile, e.file)
		}
	}
}

// removeBefore takes out the letters in files before oldest. It returns them.
func (x *index) removeBefore(oldest uint64) []*entry {
	gone := x.inOrder(func(e *entry) bool { return e.file < oldest })
	for _, e := range gone {
		x.remove([]uint64{e.id})
	}
	return gone
}

func (x *index) redeem(r *Redeemed, file uint64, f frame) {
	x.remove(r.IDs)
	if len(r.Samples) > 0 {
		a := x.Accounts[r.Destination]
		a.Redeemed = maps.Clone(a.Redeemed)
		if a.Redeemed == nil {
			a.Redeemed = map[string]uint64{}
		}
		for why, n := range r.Samples {
			a.Redeemed[why] += n
		}
		x.Accounts[r.Destination] = a
	}
	if r.Rest != nil {
		x.put(r.Rest, file, f).settled = true
	}
}

// inOrder returns those that ok picks, in the order in which they were pushed.
func (x *index) inOrder(ok func(*entry) bool) []*entry {
	var out []*entry
	for _, e := range x.letters {
		if ok(e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.id, b.id)) })
	return out
}

// of picks the letters of a destination, and of those the ones for a reason; none picks all.
func of(destination, reason string) func(*entry) bool {
	return func(e *entry) bool {
		return (destination == "" || e.destination == destination) && (reason == "" || e.reason == reason)
	}
}
