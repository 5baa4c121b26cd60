#!/bin/sh
# Debian 12's Prometheus 2.42 answers 204 to remote write 2.0 and stores nothing: its protobuf decoder finds no field
# that it knows, and no status says so. A native histogram in 1.0, which it has switched
# off by default, is answered 500, the status that a sender has to retry for ever.
. "$(dirname "$0")/lib.sh"
debian_prometheus
remote_sender
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

func main() {
	base, now := os.Getenv("BASE"), time.Now().UnixMilli()
	symbols := writev2.NewSymbolTable()
	v2 := writev2.Request{Timeseries: []writev2.TimeSeries{{
		LabelsRefs: []uint32{symbols.Symbolize("__name__"), symbols.Symbolize("plain")},
		Samples:    []writev2.Sample{{Value: 1, Timestamp: now}},
	}}}
	v2.Symbols = symbols.Symbols()
	body, err := v2.Marshal()
	must(err)
	code, text := send(base, version2, "2.0.0", body)
	fmt.Println("plain sample in 2.0:", code, text)

	native := series(prompb.Sample{}, "__name__", "native")
	native.Samples = nil
	native.Histograms = []prompb.Histogram{{
		Count: &prompb.Histogram_CountInt{CountInt: 1}, Sum: 1, ZeroThreshold: 0.001, ZeroCount: &prompb.Histogram_ZeroCountInt{},
		PositiveSpans: []prompb.BucketSpan{{Length: 1}}, PositiveDeltas: []int64{1}, Timestamp: now,
	}}
	v1 := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{native}}
	body, err = v1.Marshal()
	must(err)
	code, text = send(base, version1, "0.1.0", body)
	fmt.Println("native histogram in 1.0:", code, text)
	fmt.Println("stored series:", strings.Count(get(base, "/api/v1/series", "match[]", `{__name__=~"plain|native"}`), `"__name__"`))
}
GO
cat >want <<'WANT'
plain sample in 2.0: 204 
native histogram in 1.0: 500 native histograms are disabled
stored series: 0
WANT
BASE=$base gorun $prometheus $experimental >got
same
