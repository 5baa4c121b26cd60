package ingest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
)

// BenchmarkPush pushes the same series again and again, from the request to the
// answer, on a log in memory: what a push costs besides the disk.
func BenchmarkPush(b *testing.B) {
	for _, series := range []int{1, 10, 100, 1000} {
		var text strings.Builder
		for i := range series {
			fmt.Fprintf(&text, "batch_job_records{shard=\"%d\",kind=\"input\"} %d\n", i, i)
		}
		families, err := parseText([]byte(text.String()), textOptions{})
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range []struct{ format, contentType, body string }{
			{"text", "text/plain", text.String()},
			{"protobuf", protoType, marshal(b, families)},
		} {
			b.Run(fmt.Sprintf("series=%d/format=%s", series, c.format), func(b *testing.B) {
				benchmarkPush(b, c.body, c.contentType, series)
			})
		}
	}
}

func benchmarkPush(b *testing.B, body, contentType string, series int) {
	g := newRig(b, Options{ShapeCacheBytes: 32 << 20})
	b.ReportAllocs()
	for b.Loop() {
		if w := g.do("PUT", "/metrics/job/a/instance/b", body, "Content-Type: "+contentType); w.Code != 200 {
			b.Fatalf("%d %q", w.Code, w.Body)
		}
	}
	b.ReportMetric(float64(series)*float64(b.N)/b.Elapsed().Seconds(), "samples/s")
}

func marshal(b *testing.B, families []*dto.MetricFamily) string {
	var body bytes.Buffer
	for _, mf := range families {
		if _, err := protodelim.MarshalTo(&body, mf); err != nil {
			b.Fatal(err)
		}
	}
	return body.String()
}
