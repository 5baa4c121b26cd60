package e2e

import (
	"bytes"
	"math"
	"testing"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"google.golang.org/protobuf/encoding/protowire"
)

// tally is what a counter wants to know of a request. It is read off the bytes: to unmarshal
// them would take as much CPU as some of the gateways that send them.
type tally struct {
	all     int // samples
	counted int // those of series whose name has the prefix
	markers int // stale ones among them
}

// each calls f with the number, the bytes and the number's value of each field of a message, and returns what
// is wrong with it.
func each(b []byte, f func(field protowire.Number, bytes []byte, fixed uint64) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
			return protowire.ParseError(n)
		}
		var data []byte
		var fixed uint64
		if kind == protowire.BytesType {
			data, _ = protowire.ConsumeBytes(b)
		}
		if kind == protowire.Fixed64Type {
			fixed, _ = protowire.ConsumeFixed64(b)
		}
		b = b[n:]
		if err := f(field, data, fixed); err != nil {
			return err
		}
	}
	return nil
}

// sample counts one.
func (t *tally) sample(b []byte, counts bool) error {
	t.all++
	if !counts {
		return nil
	}
	t.counted++
	return each(b, func(_ protowire.Number, _ []byte, fixed uint64) error {
		if value.IsStaleNaN(math.Float64frombits(fixed)) {
			t.markers++
		}
		return nil
	})
}

var nameLabel = []byte("__name__")

// tally1 counts what a request of 1.0 has.
func tally1(raw, prefix []byte) (t tally, err error) {
	err = each(raw, func(field protowire.Number, series []byte, _ uint64) error {
		if field != 1 {
			return nil
		}
		counts := false
		return each(series, func(field protowire.Number, part []byte, _ uint64) error {
			if field == 2 {
				return t.sample(part, counts)
			}
			if field != 1 || counts {
				return nil
			}
			var name, text []byte
			err := each(part, func(field protowire.Number, b []byte, _ uint64) error {
				if field == 1 {
					name = b
				} else {
					text = b
				}
				return nil
			})
			counts = bytes.Equal(name, nameLabel) && bytes.HasPrefix(text, prefix)
			return err
		})
	})
	return t, err
}

// tally2 counts what a request of 2.0 has, whose symbols stand before its series.
func tally2(raw, prefix []byte) (t tally, err error) {
	var symbols [][]byte
	err = each(raw, func(field protowire.Number, b []byte, _ uint64) error {
		if field == 4 {
			symbols = append(symbols, b)
		}
		if field != 5 {
			return nil
		}
		counts := false
		return each(b, func(field protowire.Number, part []byte, _ uint64) error {
			if field == 1 {
				counts = isNamed(part, symbols, prefix)
			}
			if field == 2 {
				return t.sample(part, counts)
			}
			return nil
		})
	})
	return t, err
}

// isNamed reports whether the references of a series say that its name has the prefix.
func isNamed(refs []byte, symbols [][]byte, prefix []byte) bool {
	for len(refs) > 0 {
		name, n := protowire.ConsumeVarint(refs)
		text, m := protowire.ConsumeVarint(refs[max(n, 0):])
		if n < 0 || m < 0 || max(name, text) >= uint64(len(symbols)) {
			return false
		}
		if bytes.Equal(symbols[name], nameLabel) {
			return bytes.HasPrefix(symbols[text], prefix)
		}
		refs = refs[n+m:]
	}
	return false
}

// TestTally holds what is read off the bytes to what a request is made of.
func TestTally(t *testing.T) {
	stale := math.Float64frombits(value.StaleNaN)
	label := func(name, value string) prompb.Label { return prompb.Label{Name: name, Value: value} }
	one := &prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{
			{Labels: []prompb.Label{label("__name__", "bench_a"), label("job", "x")}, Samples: []prompb.Sample{{Value: 1, Timestamp: 2}, {Value: stale, Timestamp: 3}}},
			{Labels: []prompb.Label{label("A", "bench_b"), label("__name__", "other")}, Samples: []prompb.Sample{{Value: stale, Timestamp: 2}}},
			{Labels: []prompb.Label{label("A", "b"), label("__name__", "bench_c")}, Samples: []prompb.Sample{{Timestamp: 4}}},
		},
		Metadata: []prompb.MetricMetadata{{MetricFamilyName: "bench_a", Help: "Text."}},
	}
	two := &writev2.Request{Symbols: []string{"", "__name__", "bench_a", "other", "A", "bench_b"}, Timeseries: []writev2.TimeSeries{
		{LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Value: 1, Timestamp: 2}, {Value: stale, Timestamp: 3}}},
		{LabelsRefs: []uint32{4, 5, 1, 3}, Samples: []writev2.Sample{{Value: stale, Timestamp: 2}}},
		{LabelsRefs: []uint32{4, 0, 1, 5}, Samples: []writev2.Sample{{Timestamp: 4}}},
	}}
	for _, tt := range []struct {
		message interface{ Marshal() ([]byte, error) }
		read    func(raw, prefix []byte) (tally, error)
	}{{one, tally1}, {two, tally2}} {
		raw, err := tt.message.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := tt.read(raw, []byte("bench_"))
		if d := cmp.Diff(tally{4, 3, 1}, got, cmp.AllowUnexported(tally{})); d != "" || err != nil {
			t.Errorf("%T: %v\n%s", tt.message, err, d)
		}
		if _, err := tt.read(raw[:len(raw)-1], nil); err == nil {
			t.Errorf("%T cut off: no error", tt.message)
		}
	}
}

// BenchmarkCounter measures what a receiver that counts takes for a request of 460 samples.
func BenchmarkCounter(b *testing.B) {
	req := &writev2.Request{Symbols: []string{"", "__name__", "bench_a", "job", "x"}}
	for i := range 460 {
		req.Timeseries = append(req.Timeseries, writev2.TimeSeries{LabelsRefs: []uint32{1, 2, 3, 4}, Samples: []writev2.Sample{{Value: float64(i), Timestamp: 1}}})
	}
	raw, err := req.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	packed := snappy.Encode(nil, raw)
	for b.Loop() {
		raw, _ := snappy.Decode(nil, packed)
		if _, err := tally2(raw, []byte("bench_")); err != nil {
			b.Fatal(err)
		}
	}
}
