package remotewrite

import (
	"fmt"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v2"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

// benchText is a push of n series as batch jobs have them: a counter with a few
// labels, and a histogram of twenty buckets for each hundred samples.
func benchText(n int) string {
	var b strings.Builder
	for h := 0; n >= 23 && h*100 < n; h++ {
		fmt.Fprintf(&b, "# HELP duration_%d_seconds How long it took.\n# TYPE duration_%d_seconds histogram\n", h, h)
		for i := range 20 {
			fmt.Fprintf(&b, "duration_%d_seconds_bucket{step=\"load\",le=\"%g\"} %d\n", h, 0.001*float64(int(1)<<i), i*h)
		}
		fmt.Fprintf(&b, "duration_%d_seconds_bucket{step=\"load\",le=\"+Inf\"} %d\n", h, 20*h)
		fmt.Fprintf(&b, "duration_%d_seconds_sum{step=\"load\"} %d.25\nduration_%d_seconds_count{step=\"load\"} %d\n", h, h, h, 20*h)
	}
	fmt.Fprintf(&b, "# HELP rows_processed_total Rows that the job has read from its source.\n# TYPE rows_processed_total counter\n")
	for i := range n * 3 / 4 {
		fmt.Fprintf(&b, "rows_processed_total{table=\"customers_%03d\",partition=\"%d\",status=\"ok\"} %d\n", i, i%7, 1000003*i%99991)
	}
	return b.String()
}

// benchRecord is a record of about n samples.
func benchRecord(tb testing.TB, n int) *group.Record {
	tb.Helper()
	var rec *group.Record
	s := state.New(state.Options{CheckConsistency: true})
	c := group.Change{Kind: group.KindPut, Labels: groupingKey("job", "nightly_import", "instance", "worker-17"), Part: partOf(tb, benchText(n))}
	if err := s.Apply(c, gatewayEpoch, func(r *group.Record) { rec = r }); err != nil {
		tb.Fatal(err)
	}
	return rec
}

// benchBatch is the series of records of size samples, n in all.
func benchBatch(tb testing.TB, size, n int) []convert.Series {
	tb.Helper()
	var c convert.Converter
	var series []convert.Series
	rec := benchRecord(tb, size)
	for len(series) < n {
		series, _ = c.Append(series, rec, convert.Options{SendNative: true})
	}
	return series[:n]
}

func BenchmarkEncode(b *testing.B) {
	series := benchBatch(b, 2000, 2000)
	var e encoder2
	v1, v2 := prompbRequest(series), writev2Request(series)
	for _, row := range []struct {
		name   string
		encode func(dst []byte) []byte
	}{
		{"protocol=1.0/by=hand", func(dst []byte) []byte { return appendRequest1(dst[:0], series) }},
		{"protocol=1.0/by=prompb", func(dst []byte) []byte {
			dst = dst[:v1.Size()]
			n, err := v1.MarshalToSizedBuffer(dst)
			if err != nil {
				b.Fatal(err)
			}
			return dst[:n]
		}},
		{"protocol=1.0/by=prompb-built", func([]byte) []byte {
			out, err := prompbRequest(series).Marshal()
			if err != nil {
				b.Fatal(err)
			}
			return out
		}},
		{"protocol=2.0/by=hand", func(dst []byte) []byte { return e.append(dst[:0], series) }},
		{"protocol=2.0/by=writev2", func(dst []byte) []byte {
			out, err := v2.OptimizedMarshal(dst[:0])
			if err != nil {
				b.Fatal(err)
			}
			return out
		}},
		{"protocol=2.0/by=writev2-built", func([]byte) []byte {
			out, err := writev2Request(series).OptimizedMarshal(nil)
			if err != nil {
				b.Fatal(err)
			}
			return out
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			raw, packed := make([]byte, 0, 4<<20), make([]byte, 4<<20)
			var size, wire int
			for b.Loop() {
				raw = row.encode(raw)
				size = len(raw)
			}
			wire = len(snappy.Encode(packed, raw))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(series)), "ns/sample")
			b.ReportMetric(float64(size)/float64(len(series)), "B/sample")
			b.ReportMetric(float64(wire)/float64(len(series)), "wire-B/sample")
		})
	}
}

// BenchmarkRingToWire is everything between a record in the ring and the bytes of
// a request: convert, relabel, find duplicates, batch, encode, compress.
func BenchmarkRingToWire(b *testing.B) {
	rules := relabelRules(b, `
- source_labels: [__name__]
  regex: unwanted_.*
  action: drop
- regex: partition
  action: labeldrop
`)
	for _, size := range []int{20, 1980} {
		for _, m := range []ProtobufMessage{Message1, Message2} {
			for _, ruled := range []bool{false, true} {
				c := configFor(b, "http://localhost/")
				c.ProtobufMessage, c.Queue.BatchSendDeadline = m, 1 // no waiting for company
				if ruled {
					c.WriteRelabelConfigs = rules
				}
				p := newNegotiation(&c, false).current()
				for labels, room := range map[string]int64{"known": facesBytes, "new": 0} {
					b.Run(fmt.Sprintf("push=%d/protocol=%s/rules=%t/labels=%s", size, p, ruled, labels), func(b *testing.B) {
						ringToWire(b, c, size, room)
					})
				}
			}
		}
	}
}

func ringToWire(b *testing.B, c Config, size int, room int64) {
	g := newRig(b, rigOptions{})
	d := g.destination(c, Options{External: groupingKey("cluster", "eu-1")})
	d.metrics.faces.max = room
	g.start()
	s, rec := d.shards[0], benchRecord(b, size)
	var records []*group.Record
	for n := 0; n+rec.Samples() <= 2000; n += rec.Samples() {
		r := *rec
		r.Time += int64(n)
		r.Labels = groupingKey("job", "bench", "instance", fmt.Sprint(n))
		records = append(records, &r)
	}
	b.ReportAllocs()
	samples := 0
	for b.Loop() {
		for _, r := range records {
			s.in.tryPut(item{record: r, seq: 1, samples: r.Samples()})
		}
		for s.in.samples > 0 || len(s.gatherer.loaded) > 0 {
			batch := s.gatherer.next(b.Context())
			samples += len(batch.series)
			s.sender.encode(batch.protocol, batch.series)
			s.gatherer.settled()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(samples), "ns/sample")
}

func relabelRules(tb testing.TB, text string) []*relabel.Config {
	tb.Helper()
	var rules []*relabel.Config
	if err := yaml.UnmarshalStrict([]byte(text), &rules); err != nil {
		tb.Fatal(err)
	}
	return rules
}
