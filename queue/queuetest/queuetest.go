// Package queuetest holds stores to what package queue promises: Run runs the same
// cases against any of them, through a real log.
//
// A store of a new kind needs a Kind, which says how to make a place for a log and what
// can be done to it. Cases that need what a kind cannot do are not run:
//
//	func TestConformance(t *testing.T) {
//		queuetest.Run(t, queuetest.Kind{New: func(t *testing.T, o queuetest.Options) *queuetest.Place { … }})
//	}
package queuetest

import (
	"slices"
	"testing"

	"github.com/pushbridge/pushbridge/queue"
)

// Kind is a kind of stores.
type Kind struct {
	// New makes an empty place for a log.
	New func(t *testing.T, o Options) *Place

	// Volatile says that nothing outlives the process: see queue.Recovered.
	Volatile bool
}

// Options are what a case wants of a place.
type Options struct {
	PartBytes int64 // a part of the log ends with the batch that reaches it
	MaxBytes  int64 // of the log; 0: no bound
}

// Place is where the log of one case is.
type Place struct {
	// Store returns the store of the next process. The one before was closed, or killed.
	Store func() queue.Store

	// What can be done to the place. Nil: nothing of the kind.

	Kill      func()           // the process ends now, as by kill -9
	PowerLoss func()           // the machine does: what was not durable is lost
	Break     func(err error)  // whatever is written fails with err, until it is nil
	Damage    func(seq uint64) // the bytes of a record change; the store is closed
}

// Run runs all cases that the kind can be put to. It says how many there are of the
// others.
func Run(t *testing.T, k Kind) {
	able := k.able(t)
	left := 0
	for _, c := range cases {
		if c.needs&^able != 0 {
			left++
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.run(newRig(t, k, c)) })
	}
	t.Logf("%d cases, and %d that need what stores of this kind cannot do", len(cases)-left, left)
}

// able returns what can be done to places of this kind.
func (k Kind) able(t *testing.T) (c capability) {
	p := k.New(t, Options{})
	for can, have := range map[capability]bool{
		survives: !k.Volatile, kills: p.Kill != nil, losesPower: p.PowerLoss != nil, breaks: p.Break != nil, damages: p.Damage != nil,
	} {
		if have {
			c |= can
		}
	}
	return c
}

// capability is something that not every kind has.
type capability int

const (
	survives capability = 1 << iota // the process
	kills
	losesPower
	breaks
	damages
)

// a case holds a store to one promise of package queue, which its name begins with.
type testCase struct {
	name  string
	needs capability
	o     Options
	log   queue.Options
	run   func(*rig)
}

// cases are all there are. Numbers are those of the promises of package queue.
var cases = slices.Concat(durableCases, orderCases, readCases, damageCases, failureCases, boundCases, cursorCases, snapshotCases)
