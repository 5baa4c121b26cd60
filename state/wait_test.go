package state

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// BenchmarkOthersWait says how long the push of one gauge waits at most while a large
// change of another group goes on.
func BenchmarkOthersWait(b *testing.B) {
	var wide, long strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&wide, "family_%d 1\n", i)
	}
	for i := range 600_000 {
		fmt.Fprintf(&long, "m{series=\"%d\"} 1\n", i)
	}
	for _, row := range []struct {
		name, before, push string
		kind               group.Kind
	}{
		{"PUT/families=300000", "", wide.String(), group.KindPut},
		{"DELETE/families=300000", wide.String(), "", group.KindDelete},
		{"PUT/series=600000", "", long.String(), group.KindPut},
		{"PUT/series=600000/again=1", long.String(), long.String() + "n 1\n", group.KindPut},
		{"DELETE/series=600000", long.String(), "", group.KindDelete},
	} {
		b.Run(row.name, func(b *testing.B) { benchmarkWait(b, row.kind, row.before, row.push) })
	}
}

func benchmarkWait(b *testing.B, kind group.Kind, before, push string) {
	var longest, whole time.Duration
	for b.Loop() {
		b.StopTimer()
		s, now := New(Options{CheckConsistency: true}), time.UnixMilli(1000)
		if before != "" {
			if err := s.Apply(group.Change{Kind: group.KindPut, Labels: labelsOf("job=large"), Part: part(b, before)}, now, func(*group.Record) {}); err != nil {
				b.Fatal(err)
			}
		}
		c := group.Change{Kind: kind, Labels: labelsOf("job=large")}
		if push != "" {
			c.Part = part(b, push)
		}
		var stop atomic.Bool
		waited := make(chan time.Duration)
		go func() { waited <- pushUntil(b, s, &stop) }()
		b.StartTimer()
		began := time.Now()
		if err := s.Apply(c, now, func(*group.Record) {}); err != nil {
			b.Fatal(err)
		}
		whole = max(whole, time.Since(began))
		stop.Store(true)
		longest = max(longest, <-waited)
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms-waited")
	b.ReportMetric(float64(whole.Microseconds())/1000, "ms-whole")
}

func pushUntil(b *testing.B, s *Store, stop *atomic.Bool) (longest time.Duration) {
	for i := 0; !stop.Load(); i++ {
		c := group.Change{Kind: group.KindPut, Labels: labelsOf(fmt.Sprintf("job=small%d", i%7)), Part: part(b, "small 1\n")}
		began := time.Now()
		if err := s.Apply(c, began, func(*group.Record) {}); err != nil {
			b.Error(err)
		}
		longest = max(longest, time.Since(began))
	}
	return longest
}
