package gateway

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue/disk"
)

// BenchmarkOthersWait says how long the push of one gauge waits until it is durable
// while a large change of another group goes on. With GODEBUG=madvdontneed=0 the process
// keeps the memory that it has touched, and what a virtual machine takes to find some
// (up to 90 ms for a page was seen) is not measured.
func BenchmarkOthersWait(b *testing.B) {
	touchMemory()
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
		{"none", "", "a 1\n", group.KindPut},
		{"PUT/families=300000", "", wide.String(), group.KindPut},
		{"DELETE/families=300000", wide.String(), "", group.KindDelete},
		{"PUT/series=600000", "", long.String(), group.KindPut},
		{"DELETE/series=600000", long.String(), "", group.KindDelete},
	} {
		b.Run(row.name, func(b *testing.B) { benchmarkWait(b, row.kind, row.before, row.push) })
	}
}

// touchMemory makes the heap large once.
func touchMemory() {
	var all [2048][]byte
	for n := range all {
		all[n] = bytes.Repeat([]byte{1}, 1<<20)
	}
	runtime.KeepAlive(&all)
	runtime.GC()
}

func benchmarkWait(b *testing.B, kind group.Kind, before, push string) {
	var waits []time.Duration
	whole := time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		r := newRigOn(b, disk.New(disk.Options{Dir: b.TempDir()}))
		g := r.Gateway
		if before != "" {
			doBench(b, g, group.Change{Kind: group.KindPut, Labels: key("large"), Part: partOf(b, before)})
		}
		c := group.Change{Kind: kind, Labels: key("large")}
		if push != "" {
			c.Part = partOf(b, push)
		}
		var stop atomic.Bool
		waited := make(chan []time.Duration)
		go func() { waited <- pushUntil(b, g, &stop) }()
		b.StartTimer()
		began := time.Now()
		doBench(b, g, c)
		whole = max(whole, time.Since(began))
		b.StopTimer()
		stop.Store(true)
		waits = append(waits, <-waited...)
		r.end()
		b.StartTimer()
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)-1].Microseconds())/1000, "ms-waited")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "ms-p99")
	b.ReportMetric(float64(whole.Microseconds())/1000, "ms-whole")
}

func doBench(b *testing.B, g *Gateway, c group.Change) {
	if _, err := g.Do(context.Background(), c, time.Now()); err != nil {
		b.Error(err)
	}
}

func partOf(b testing.TB, text string) *group.Part {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		b.Fatal(err)
	}
	p, err := group.FromDTO(slices.Collect(maps.Values(families)), group.BuildOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func pushUntil(b *testing.B, g *Gateway, stop *atomic.Bool) (waits []time.Duration) {
	p := partOf(b, "small 1\n")
	for i := 0; !stop.Load(); i++ {
		q := *p
		began := time.Now()
		doBench(b, g, group.Change{Kind: group.KindPut, Labels: key(fmt.Sprintf("small%d", i%7)), Part: &q})
		waits = append(waits, time.Since(began))
	}
	return waits
}
