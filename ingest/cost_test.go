package ingest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestCosts holds what pushes are charged against what they allocate, from the
// first byte of the body until they are kept. Not all of it is held at one time, so
// that the bound on the charges is one on the memory.
func TestCosts(t *testing.T) {
	lines := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	long := strings.Repeat("x", 8<<20)
	for _, tc := range []struct{ name, body, proto string }{
		{name: "long help", body: "# HELP m " + long + "\nm 1\n"},
		{name: "long label value", body: "m{l=\"" + long + "\"} 1\n"},
		{name: "long comment", body: "# " + long + "\nm 1\n"},
		{name: "long metric name", body: long + " 1\n"},
		{name: "long label name", body: "m{" + long + "=\"\"} 1\n"},
		{name: "long name that is refused", body: long + "- 1\n"},
		{name: "long value that is refused", body: "m " + long + "\n"},
		{name: "one family", body: lines(50_000, "a{l=\"%d\"} 1\n")},
		{name: "shortest lines", body: "a 1\n" + lines(50_000, "a%d 1\n")},
		{name: "typed families", body: lines(20_000, "# TYPE a%[1]d counter\n# HELP a%[1]d x\na%[1]d 1\n")},
		{name: "many labels", body: lines(10_000, "a{b=\"%d\",c=\"\",d=\"\",e=\"\",f=\"\",g=\"\",h=\"\",i=\"\"} 1\n")},
		{name: "labels of their own", body: lines(20_000, "a{b=\"%[1]d-b\",c=\"%[1]d-c\",d=\"%[1]d-d\"} 1\n")},
		{name: "buckets", body: "# TYPE h histogram\n" + lines(50_000, "h_bucket{le=\"%d\"} 1\n")},
		{name: "histograms", body: "# TYPE h histogram\n" + lines(20_000, "h_bucket{a=\"%d\",le=\"1\"} 1\n")},
		{name: "ordinary", body: lines(2_000, "some_metric{instance=\"host-%d\",device=\"sda\"} 1.5\n")},
		{name: "protobuf, long help", proto: `name: "m" help: "` + long + `" type: GAUGE metric { gauge { value: 1 } }`},
		{name: "protobuf, many metrics", proto: `name: "m" type: GAUGE ` + lines(20_000, `metric { label { name: "l" value: "%d" } gauge { value: 1 } } `)},
		{name: "protobuf, empty metrics", proto: `name: "m" type: GAUGE ` + strings.Repeat(`metric { gauge { } } `, 50_000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, Options{Limits: Limits{MaxInFlightBytes: 1 << 40}})
			kind := "text/plain"
			if tc.proto != "" {
				tc.body, kind = delimited(t, tc.proto), protoType
			}
			code := 0
			took := int64(allocated(func() { code = g.do("PUT", "/metrics/job/a", tc.body, "Content-Type: "+kind).Code }))
			charged := g.bodies.budget.spent.Load()
			if charged < took*2/5 || charged > took*4 {
				t.Errorf("charged %d KiB, allocated %d KiB", charged>>10, took>>10)
			}
			if n := g.bodies.budget.used.Load(); n != 0 {
				t.Errorf("%d bytes are still charged", n)
			}
			t.Logf("%d: %d KiB in %.1f times as much allocated, charged %.2f of that", code, len(tc.body)>>10, float64(took)/float64(len(tc.body)), float64(charged)/float64(took))
		})
	}
}

// TestBudgetCollects holds that what was let go of counts until it is collected,
// and is no reason to refuse a push.
func TestBudgetCollects(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b := &budget{limit: 100 << 20}
	for range 1000 {
		l := &lease{b: b}
		if err := l.take(60 << 20); err != nil {
			t.Fatal(err)
		}
		if n := b.used.Load() + b.loose(); n > b.limit {
			t.Fatalf("%d bytes are in use or lie around", n)
		}
		l.close()
	}
	b.collecting.Lock() // until a collector that was sent has come back
	defer b.collecting.Unlock()
	runtime.ReadMemStats(&after)
	if n := after.NumForcedGC - before.NumForcedGC; n < 100 {
		t.Errorf("collected %d times", n)
	}
	if n := b.used.Load(); n != 0 {
		t.Errorf("%d bytes are in use", n)
	}
	if err := (&lease{b: b}).take(101 << 20); err == nil {
		t.Error("took more than there is")
	}
}
