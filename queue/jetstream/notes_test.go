package jetstream

import "testing"

// TestNotes: what is noted beside a cursor is there for whoever reads the stream, also when all that
// is left of it is a checkpoint, and goes with the cursor.
func TestNotes(t *testing.T) {
	f := newFake()
	o := Options{ID: "a", PartBytes: 500, MaxBytes: -1}
	p := f.process(t, o)
	for _, id := range []string{"kept", "ended", "gone"} {
		if err := p.log.Lease().SetNote(id, "of "+id); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.log.Lease().SetNote("ended", ""); err != nil {
		t.Fatal(err)
	}
	if err := p.store.RemoveCursor("gone"); err != nil {
		t.Fatal(err)
	}
	follower := f.process(t, Options{ID: "b", PartBytes: 500, MaxBytes: -1})
	same := func(p *process) {
		t.Helper()
		for id, want := range map[string]string{"kept": "of kept", "ended": "", "gone": ""} {
			if got := p.log.Lease().Note(id); got != want {
				t.Errorf("beside %q is %q, want %q", id, got, want)
			}
		}
	}
	same(p)
	same(follower)
	if err := follower.log.Lease().SetNote("kept", "of another"); err == nil {
		t.Error("one that does not lead has noted something")
	}
	for range 50 {
		p.mustPush("0123456789")
	}
	oldest, ok := p.store.Oldest()
	if !ok {
		t.Fatal("there is one part")
	}
	if err := p.store.Trim(oldest.Last); err != nil {
		t.Fatal(err)
	}
	p.kill()
	p = f.process(t, o)
	same(p)
	p.close()
}
