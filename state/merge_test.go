package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/group"
)

var sums = &group.Aggregation{}

// add pushes a counter that is added to what is there.
func (g *rig) add(id, text string) *group.Record {
	g.t.Helper()
	l := labelsOf("job=sum")
	c := group.Change{Kind: group.KindPost, Labels: l, Part: part(g.t, text), How: sums}
	if id != "" {
		c.Key = group.NewPushKey(l, id)
	}
	if err := g.s.Apply(c, g.now, g.enqueue); err != nil {
		g.t.Fatal(err)
	}
	return g.log[len(g.log)-1]
}

// counts prints the values of the group, of the newest version or the one that is shown.
func (g *rig) counts(newest bool) string {
	of := g.s.Lookup(labelsOf("job=sum"))
	if newest {
		of = g.s.pending.newest(labelsOf("job=sum").ID())
	}
	if of == nil {
		return "absent"
	}
	out := fmt.Sprintf("%d pushes:", of.Pushes)
	for _, m := range of.Members {
		for _, d := range m.DTO(nil).Metric {
			out += fmt.Sprintf(" %g", d.Counter.GetValue())
		}
	}
	return out
}

const counter = "# TYPE c counter\nc %d\n"

// TestAddedWhilePending: a push is added to what is pending, and what fails takes along
// what was added to it.
func TestAddedWhilePending(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	for n := range 3 {
		g.add("", fmt.Sprintf(counter, n+1))
	}
	if got := g.counts(true); got != "3 pushes: 6" || g.counts(false) != "absent" {
		t.Errorf("pending %s, shown %s", got, g.counts(false))
	}
	g.s.Fold(g.log[0], 1)
	g.s.Abort(1)
	if got := g.counts(true); got != "1 pushes: 1" || g.counts(false) != got {
		t.Errorf("pending %s, shown %s", got, g.counts(false))
	}
	r := g.add("", fmt.Sprintf(counter, 5))
	g.s.Fold(r, 2)
	if got := g.counts(false); got != "2 pushes: 6" || !r.Merge.Some {
		t.Errorf("shown %s, some %v", got, r.Merge.Some)
	}
}

// TestRepeated: what repeats a push is a mark that has its fate, and counts anew once that
// has failed.
func TestRepeated(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	g.add("a", fmt.Sprintf(counter, 1))
	if r := g.add("a", fmt.Sprintf(counter, 1)); r.Kind != group.KindClock || r.Samples() != 0 || r.Generation != 0 {
		t.Errorf("a repetition is %+v", r)
	}
	g.s.Abort(1)
	g.log = g.log[:0]
	if r := g.add("a", fmt.Sprintf(counter, 1)); r.Kind != group.KindPost || r.Generation != 1 {
		t.Errorf("what has failed comes as %+v", r)
	}
	g.commit()
	g.add("a", fmt.Sprintf(counter, 1))
	g.add("b", fmt.Sprintf(counter, 1))
	g.commit()
	if got := g.counts(false); got != "2 pushes: 2" {
		t.Errorf("shown %s", got)
	}
	end := group.Change{Kind: group.KindDelete, Labels: labelsOf("job=sum"), Key: group.NewPushKey(labelsOf("job=sum"), "end")}
	for range 2 {
		if err := g.s.Apply(end, g.now, g.enqueue); err != nil {
			t.Error(err)
		}
		g.add("", fmt.Sprintf(counter, 1)) // after the first: anew
	}
	g.commit()
	if got := g.counts(false); got != "2 pushes: 2" {
		t.Errorf("shown %s after a DELETE that was repeated", got)
	}
	end.Key = group.PushKey{}
	if err := g.s.Apply(end, g.now, g.enqueue); err != nil {
		t.Error(err)
	}
	if err := g.s.Apply(end, g.now, g.enqueue); !errors.Is(err, group.ErrAbsent) {
		t.Errorf("a DELETE without a name: %v", err)
	}
}

// TestKeysAreBounded: what is known of pushes has a bound in number and in age.
func TestKeysAreBounded(t *testing.T) {
	k := newKeys()
	key := func(n int) group.PushKey {
		var key group.PushKey
		binary.BigEndian.PutUint64(key[:], uint64(n)+1)
		return key
	}
	for n := range maxKeys + 10 {
		k.keep(key(n), int64(n))
	}
	if len(k.kept) != maxKeys || len(k.order) != maxKeys || k.has(key(9), 100) || !k.has(key(10), 100) {
		t.Errorf("%d keys, %d in order", len(k.kept), len(k.order))
	}
	last := int64(maxKeys + 9)
	if !k.has(key(int(last)), last+maxKeyAge) || k.has(key(int(last)), last+maxKeyAge+1) {
		t.Error("the bound of the age is another one")
	}
	k.keep(key(int(last)), last+maxKeyAge+1) // it came again, and counted again
	k.keep(key(0), last+maxKeyAge+2)
	if len(k.kept) != 2 || len(k.order) != 2 {
		t.Errorf("%d keys, %d in order, after a day", len(k.kept), len(k.order))
	}
}

// TestShapesOfSumsAreBounded: pushes that are all different leave no more behind than the
// bounds say.
func TestShapesOfSumsAreBounded(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	var wide strings.Builder
	wide.WriteString("# TYPE c counter\n")
	for i := range 2000 {
		fmt.Fprintf(&wide, "c{i=\"%d\"} 1\n", i)
	}
	g.add("", wide.String())
	most := 0
	for i := range 300 {
		g.add("", fmt.Sprintf("# TYPE c counter\nc{i=\"%d\"} 1\nc{i=\"%d\"} 1\n", i, i+1000))
		most = max(most, g.s.pending.shapes.Placed())
	}
	g.commit()
	if limit := 1 << 18; most > limit || most < limit/2 {
		t.Errorf("%d metrics held, the bound is %d", most, limit)
	}
	if n := g.s.aggregates.Known(); n > 1<<18 || n == 0 {
		t.Errorf("%d metrics held of shapes that came", n)
	}
}

// TestSomeOfWhatIsLost: when the record that brought a series is damaged, those behind it
// bring what they say, and nothing else is lost.
func TestSomeOfWhatIsLost(t *testing.T) {
	writer, follower := newRig(t, Options{CheckConsistency: true}), newRig(t, Options{CheckConsistency: true})
	writer.add("", "# TYPE c counter\nc{a=\"1\"} 1\n")
	writer.add("", "# TYPE c counter\nc{a=\"2\"} 2\n# TYPE d counter\nd 4\n")
	writer.add("", "# TYPE c counter\nc{a=\"2\"} 2\n")
	last := writer.add("", "# TYPE d counter\nd 4\n")
	if !last.Merge.Some {
		t.Fatal("not what this is about")
	}
	for i, r := range writer.log {
		if i != 1 {
			follower.s.Fold(read(t, r), uint64(i+1))
		}
	}
	if got := follower.counts(false); got != "4 pushes: 1 4 8" {
		t.Errorf("shown %s", got)
	}
	if diff := gocmp.Diff(printIndex(follower.s, rebuilt(follower.s)), printIndex(follower.s, &follower.s.pending.index)); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkAggregate says what adding a push of ten series costs, beside ten and ten
// thousand others of the same families.
func BenchmarkAggregate(b *testing.B) {
	for _, stored := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("stored=%d", stored), func(b *testing.B) {
			s, seq := New(Options{CheckConsistency: true}), uint64(0)
			var pushed, all strings.Builder
			for i := range stored {
				line := fmt.Sprintf("c{series=\"%d\"} 1\n", i)
				all.WriteString(line)
				if i < 10 {
					pushed.WriteString(line)
				}
			}
			var queued []*group.Record
			enqueue := func(r *group.Record) { queued = append(queued, r) }
			l, shape := labelsOf("job=sum"), part(b, "# TYPE c counter\n"+pushed.String())
			now := time.UnixMilli(1000)
			apply := func(p *group.Part) {
				if err := s.Apply(group.Change{Kind: group.KindPost, Labels: l, Part: p, How: sums}, now, enqueue); err != nil {
					b.Fatal(err)
				}
				for _, r := range queued {
					seq++
					s.Fold(r, seq)
				}
				queued = queued[:0]
			}
			apply(part(b, "# TYPE c counter\n"+all.String()))
			for b.Loop() {
				p := *shape
				apply(&p)
			}
		})
	}
}
