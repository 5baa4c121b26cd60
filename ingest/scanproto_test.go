package ingest

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/pushbridge/pushbridge/group"
)

// fullProtoParts is fullParts for protobuf.
func fullProtoParts() (full func([]byte) (*group.Part, error), asked *int) {
	asked = new(int)
	return func(body []byte) (*group.Part, error) {
		*asked++
		families, err := parseProto(body, 1<<20)
		if err != nil {
			return nil, err
		}
		return group.FromDTO(families, group.BuildOptions{AcceptTimestamps: true})
	}, asked
}

// goFamilies are what client_golang pushes of a counter, a gauge, a summary and a
// histogram, with values by chance.
func goFamilies(r *rand.Rand) []*dto.MetricFamily {
	created := &timestamppb.Timestamp{Seconds: r.Int64N(1 << 32), Nanos: r.Int32N(1e9)}
	float := func() *float64 {
		return new([]float64{0, r.Float64(), -1, math.NaN(), math.Inf(1), float64(r.IntN(1000))}[r.IntN(6)])
	}
	count := func() *uint64 { return new([]uint64{0, r.Uint64N(1000), r.Uint64()}[r.IntN(3)]) }
	label := []*dto.LabelPair{{Name: new("kind"), Value: new("a 1")}}
	return []*dto.MetricFamily{
		{Name: new("c_total"), Help: new("c"), Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{
			{Label: label, Counter: &dto.Counter{Value: float(), CreatedTimestamp: created}}, {Counter: &dto.Counter{Value: float(), CreatedTimestamp: created}},
		}},
		{Name: new("g"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: float()}}}},
		{Name: new("s"), Type: dto.MetricType_SUMMARY.Enum(), Metric: []*dto.Metric{{Summary: &dto.Summary{
			SampleCount: count(), SampleSum: float(), CreatedTimestamp: created,
			Quantile: []*dto.Quantile{{Quantile: new(0.5), Value: float()}, {Quantile: new(0.9), Value: float()}},
		}}}},
		{Name: new("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Unit: new("s"), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCount: count(), SampleSum: float(), CreatedTimestamp: created,
			Bucket: []*dto.Bucket{{CumulativeCount: count(), UpperBound: new(1.0)}, {CumulativeCount: count(), UpperBound: new(math.Inf(1))}},
		}}}},
	}
}

func delimit(t testing.TB, families ...*dto.MetricFamily) []byte {
	t.Helper()
	var body bytes.Buffer
	for _, mf := range families {
		if _, err := protodelim.MarshalTo(&body, mf); err != nil {
			t.Fatal(err)
		}
	}
	return body.Bytes()
}

func sameProtoAsFull(t *testing.T, c *shapeCache, body []byte, full func([]byte) (*group.Part, error)) {
	t.Helper()
	got, gotErr := c.part(protoScanner{}, body, full)
	want, wantErr := full(body)
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
		t.Fatalf("%x: error %v, want %v", body, gotErr, wantErr)
	}
	if written(got) != written(want) {
		t.Fatalf("%x: record\n%x\nwant\n%x", body, written(got), written(want))
	}
}

// TestShapeCache_Proto pushes what client_golang does, with other values each time.
func TestShapeCache_Proto(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := newTestCache(1 << 20)
	full, asked := fullProtoParts()
	for range 2 {
		sameProtoAsFull(t, c, delimit(t, goFamilies(r)...), full)
	}
	for range 500 {
		body := delimit(t, goFamilies(r)...)
		*asked = 0
		if _, err := c.part(protoScanner{}, body, full); err != nil || *asked > 0 {
			t.Fatalf("not the short way: %v", err)
		}
		sameProtoAsFull(t, c, body, full)
	}
}

// TestShapeCache_ProtoLongWay has bodies that are not for the short way, or only look
// like one that is known.
func TestShapeCache_ProtoLongWay(t *testing.T) {
	gauge := func(v float64) *dto.MetricFamily {
		return &dto.MetricFamily{Name: new("g"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &v}}}}
	}
	with := func(change func(*dto.MetricFamily)) *dto.MetricFamily {
		mf := gauge(1)
		change(mf)
		return mf
	}
	known := gauge(1)
	for name, mf := range map[string]*dto.MetricFamily{
		"another name": with(func(mf *dto.MetricFamily) { mf.Name = new("h") }),
		"another type": with(func(mf *dto.MetricFamily) {
			mf.Type = dto.MetricType_UNTYPED.Enum()
			mf.Metric[0] = &dto.Metric{Untyped: &dto.Untyped{Value: new(1.0)}}
		}),
		"a timestamp":     with(func(mf *dto.MetricFamily) { mf.Metric[0].TimestampMs = new(int64(5)) }),
		"a stale marker":  gauge(math.Float64frombits(staleMarker)),
		"no value at all": with(func(mf *dto.MetricFamily) { mf.Metric[0].Gauge.Value = nil }),
		"native": {Name: new("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCount: new(uint64(1)), SampleSum: new(1.0), Schema: new(int32(1)),
			PositiveSpan: []*dto.BucketSpan{{Length: new(uint32(1))}}, PositiveDelta: []int64{1},
		}}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTestCache(1 << 20)
			full, asked := fullProtoParts()
			for range 3 {
				sameProtoAsFull(t, c, delimit(t, known), full)
			}
			*asked = 0
			_, _ = c.part(protoScanner{}, delimit(t, mf), full)
			if *asked == 0 {
				t.Error("the short way was taken")
			}
			for range 3 {
				sameProtoAsFull(t, c, delimit(t, mf), full)
			}
		})
	}
}

// FuzzShapeCacheProto is FuzzShapeCache for protobuf.
func FuzzShapeCacheProto(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		f.Add(delimit(f, goFamilies(r)...), uint64(7))
	}
	f.Add(delimit(f, goFamilies(r)[2]), uint64(0))
	f.Fuzz(func(t *testing.T, body []byte, first uint64) {
		c := newTestCache(1 << 20)
		full, _ := fullProtoParts()
		for range 3 {
			sameProtoAsFull(t, c, body, full)
		}
		if new(protoScanner).scan(new(takenApart), body) {
			sameProtoAsFull(t, c, otherProtoValues(body, first), full)
		}
		sameProtoAsFull(t, c, body, full)
	})
}

// otherProtoValues returns a body that can be taken apart with values from first on.
func otherProtoValues(body []byte, first uint64) []byte {
	var out bytes.Buffer
	for len(body) > 0 {
		msg, rest, err := nextMessage(body, 1, 1<<20)
		if err != nil {
			panic(err)
		}
		body = rest
		other := probeMessage(msg, &protoFamily, &first)
		out.Write(protowire.AppendBytes(nil, other))
	}
	return out.Bytes()
}
