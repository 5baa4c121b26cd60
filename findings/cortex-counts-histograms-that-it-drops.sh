#!/bin/sh
# Cortex 1.21.1 with its default limits answers 204 to a native histogram in remote write 2.0, and says in the header
# made for it that one histogram was written. None is: native histograms are off, which no answer tells. Of a plain
# sample the same header is right.
. "$(dirname "$0")/lib.sh"
backend cortex v1.21.1
remote_sender
http=$(port)
cat >cortex.yaml <<'YAML'
auth_enabled: false
ingester: {lifecycler: {address: 127.0.0.1, min_ready_duration: 0s, ring: {kvstore: {store: inmemory}, replication_factor: 1}}}
blocks_storage: {backend: filesystem, filesystem: {dir: blocks}, tsdb: {dir: tsdb}}
alertmanager_storage: {backend: filesystem, filesystem: {dir: alertmanager}}
alertmanager: {external_url: http://localhost/alertmanager}
YAML
"$program" -target=all -config.file=cortex.yaml -distributor.remote-writev2-enabled=true -alertmanager.cluster.listen-address= \
	-server.http-listen-address=127.0.0.1 -server.http-listen-port="$http" \
	-server.grpc-listen-address=127.0.0.1 -server.grpc-listen-port="$(port)" >server.log 2>&1 &
pids="$pids $!"
ready "http://127.0.0.1:$http/ready"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

func main() {
	now := time.Now().UnixMilli()
	try("sample", writev2.TimeSeries{Samples: []writev2.Sample{{Value: 1, Timestamp: now}}})
	try("native histogram", writev2.TimeSeries{Histograms: []writev2.Histogram{{
		Count: &writev2.Histogram_CountInt{CountInt: 1}, Sum: 1, ZeroThreshold: 0.001, ZeroCount: &writev2.Histogram_ZeroCountInt{},
		PositiveSpans: []writev2.BucketSpan{{Length: 1}}, PositiveDeltas: []int64{1}, Timestamp: now,
	}}})
}

// try sends a series by itself, and asks for all that are stored.
func try(what string, ts writev2.TimeSeries) {
	base, symbols := os.Getenv("BASE"), writev2.NewSymbolTable()
	ts.LabelsRefs = []uint32{symbols.Symbolize("__name__"), symbols.Symbolize(strings.ReplaceAll(what, " ", "_"))}
	req := writev2.Request{Timeseries: []writev2.TimeSeries{ts}, Symbols: symbols.Symbols()}
	body, err := req.Marshal()
	must(err)
	code, text := send(base, version2, "2.0.0", body)
	found := get(base, "/prometheus/api/v1/series", "match[]", `{__name__=~".+"}`)
	fmt.Printf("%s: %d%s, series: %d\n", what, code, text, strings.Count(found, `"__name__"`))
}
GO
cat >want <<'WANT'
sample: 204 Samples-Written: 1 Histograms-Written: 0, series: 1
native histogram: 204 Samples-Written: 0 Histograms-Written: 1, series: 1
WANT
BASE=http://127.0.0.1:$http WRITE_PATH=/api/v1/push gorun $prometheus $experimental >got
same
