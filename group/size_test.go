package group

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// TestRecordSize compares what Size says with what records take: memory is
// bounded by it, whatever pushes are made of.
func TestRecordSize(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	series := func(n int) string {
		var b strings.Builder
		b.WriteString(`name:"m" type:GAUGE`)
		for i := range n {
			fmt.Fprintf(&b, ` metric{label{name:"path" value:"/some/path/%d"} gauge{value:%d}}`, i, i)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"a few gauges":      series(5),
		"many gauges":       series(2000),
		"a long help":       `name:"m" help:"` + long + `" type:GAUGE metric{gauge{value:1}}`,
		"a long name":       `name:"` + long + `" type:GAUGE metric{gauge{value:1}}`,
		"a long unit":       `name:"m" unit:"` + long + `" type:GAUGE metric{gauge{value:1}}`,
		"a long label":      `name:"m" type:GAUGE metric{label{name:"a" value:"` + long + `"} gauge{value:1}}`,
		"a long exemplar":   `name:"m" type:COUNTER metric{counter{value:1 exemplar{label{name:"a" value:"` + long + `"} value:1}}}`,
		"classic histogram": `name:"h" type:HISTOGRAM metric{histogram{sample_count:3 bucket{cumulative_count:1 upper_bound:1} bucket{cumulative_count:2 upper_bound:2}}}`,
		"native histogram":  nativeInteger,
	} {
		t.Run(name, func(t *testing.T) {
			p, err := FromDTO([]*dto.MetricFamily{family(t, text)}, BuildOptions{})
			if err != nil {
				t.Fatal(err)
			}
			r := &Record{Kind: KindPut, Labels: NewLabels([]Label{{"job", "j"}}), Part: p, Members: p.Members()}
			if name == "a long label" {
				r.Ended = []Ended{{Family: "m", Type: Gauge, Labels: []Label{{"a", long}}, What: ComponentValue}}
			}
			encoded := EncodeRecord(nil, r)
			said, taken := sizes(t, encoded, max(100, 4<<20/len(encoded)), &Shapes{})
			checkSize(t, said, taken)
			known, _ := shapesOf(p)
			again, taken := sizes(t, encoded, 1000, known)
			checkSize(t, again, taken)
			if again >= said {
				t.Errorf("Size says %d with a shape that a group has, want less than %d", again, said)
			}
		})
	}
}

func checkSize(t *testing.T, said, taken int) {
	t.Helper()
	if ratio := float64(said) / float64(taken); ratio < 0.7 || ratio > 1.7 {
		t.Errorf("Size says %d, on the heap are %d: %.2f", said, taken, ratio)
	}
}

// sizes decodes a record n times, with shapes that groups have, and returns what Size says and what
// each one takes.
func sizes(t *testing.T, encoded []byte, n int, known *Shapes) (said, taken int) {
	t.Helper()
	all := make([]*Record, n)
	before := alive()
	for i := range all {
		r, err := DecodeRecord(encoded)
		if err != nil {
			t.Fatal(err)
		}
		known.ShareOf(r.Part)
		all[i] = r
	}
	taken = int(alive()-before) / n
	said = all[0].Size()
	runtime.KeepAlive(all)
	return said, taken
}

// alive returns what is alive on the heap.
func alive() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // finishes sweeping
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
