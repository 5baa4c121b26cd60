package gateway

import (
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

// TestRefreshedOfOthers: what another replica has refreshed is known as it was, also when the
// group has changed since; of many refreshes the newest are.
func TestRefreshedOfOthers(t *testing.T) {
	g, err := Open(queue.NewMemory(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	key := group.NewLabels([]group.Label{{Name: "job", Value: "a"}})
	push := func(seq uint64, at int64) {
		g.fold(&group.Record{Kind: group.KindPut, Labels: key, Time: at, Push: at * 1e6, Part: group.NewBuilder().Part()}, seq)
	}
	push(1, 1000)
	var first *group.Record
	seq, at := uint64(1), int64(61_000)
	for range 2 * maxMarks {
		for slot := range group.RefreshSlots {
			mark := group.NewRefreshMark(at, slot, time.Minute)
			if seq++; len(g.fold(mark, seq)) > 0 {
				if first == nil {
					first = mark
					if push(seq+1, at+1); len(g.Refreshed(mark, seq)) != 1 || g.Refreshed(mark, seq)[0].Push != 1000*1e6 {
						t.Errorf("refreshed %+v", g.Refreshed(mark, seq))
					}
					seq++
				}
			}
		}
		at += 61_000
	}
	if n := len(g.doubtful.marks); first == nil || n != maxMarks || n != len(g.doubtful.bySeq) {
		t.Errorf("%d refreshes are kept, %d by sequence", n, len(g.doubtful.bySeq))
	}
}
