#!/bin/sh
# Remote write 2.0 answers how many samples were written. Prometheus (v0.314.0) counts those
# that it took, and drops some of them without a word when it commits: of two samples of
# a series in one request with the newer one first, both are "written" and one is stored.
# With the older one first both are. Neither is an error.
. "$(dirname "$0")/lib.sh"
write_handler
cat >main.go <<'GO'
package main

import (
	"fmt"
	"time"

	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

func main() {
	now := time.Now().UnixMilli()
	for _, order := range []struct {
		name  string
		times []int64
	}{{"oldest first", []int64{now - 1000, now}}, {"newest first", []int64{now, now - 1000}}, {"same time, two values", []int64{now, now}}} {
		symbols := writev2.NewSymbolTable()
		ts := writev2.TimeSeries{LabelsRefs: []uint32{symbols.Symbolize("__name__"), symbols.Symbolize("m")}}
		for i, t := range order.times {
			ts.Samples = append(ts.Samples, writev2.Sample{Value: float64(i), Timestamp: t})
		}
		req := writev2.Request{Timeseries: []writev2.TimeSeries{ts}, Symbols: symbols.Symbols()}
		body, err := req.Marshal()
		must(err)
		r := newReceiver()
		resp := r.post(body, "application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0")
		_, n := r.stored()
		fmt.Printf("%s: %d, written %s, stored %d\n", order.name, resp.StatusCode, resp.Header.Get("X-Prometheus-Remote-Write-Samples-Written"), n)
	}
}
GO
cat >want <<'WANT'
oldest first: 204, written 2, stored 2
newest first: 204, written 2, stored 1
same time, two values: 204, written 2, stored 1
WANT
gorun $prometheus $experimental >got
same
