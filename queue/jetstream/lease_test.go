package jetstream

import (
	"errors"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// TestHeld: whoever leads may send as long as its lease lasts, by either clock, and not after
// somebody else has claimed.
func TestHeld(t *testing.T) {
	f := newFake()
	a := f.process(t, Options{ID: "a", Lease: time.Hour})
	defer a.kill()
	if err := a.store.Held(); err != nil {
		t.Errorf("after the claim: %v", err)
	}
	past := time.Now().Add(-time.Hour)
	for name, sent := range map[string]time.Time{"both clocks": past, "only the wall clock": past.Round(0)} {
		a.store.chain.written.Store(&sent)
		if err := a.store.Held(); !errors.Is(err, errLeaseOver) || !errors.Is(err, queue.ErrElsewhere) {
			t.Errorf("by %s: %v", name, err)
		}
	}
	if err := a.push("x"); err != nil {
		t.Fatal(err)
	}
	if err := a.store.Held(); err != nil {
		t.Errorf("after a push: %v", err)
	}
	f.mu.Lock()
	f.store(messages(header{epoch: 9, nonce: 9, first: 2, checkpoint: 1}, appendItem(nil, itemClaim, appendSigned(appendString(appendString(nil, "b"), "http://b"), 1)))[0])
	f.mu.Unlock()
	for deadline := time.Now().Add(time.Minute); a.store.Held() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not hear of another one that leads")
		}
	}
	if l := a.store.Leader(); l.ID != "b" || l.Address != "http://b" || l.Epoch != 9 || l.Here || !l.Over(1) || l.Over(9) {
		t.Errorf("leader %+v", l)
	}
}
