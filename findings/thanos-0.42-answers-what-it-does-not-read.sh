#!/bin/sh
# Thanos Receive 0.42.4 answers 200 to remote write 2.0, with the content type and the version header that the
# specification asks for, and stores nothing: it reads the message as one of 1.0, in which it finds no field that it
# knows. The specification has 415 for that.
. "$(dirname "$0")/lib.sh"
backend thanos v0.42.4
remote_sender
base=http://127.0.0.1:$(port) http=127.0.0.1:$(port)
"$program" receive --label='receive_replica="0"' --tsdb.path=data --remote-write.address="${base#http://}" \
	--http-address="$http" --grpc-address=127.0.0.1:0 --receive.capnproto-address=127.0.0.1:0 >server.log 2>&1 &
pids="$pids $!"
ready "http://$http/-/ready"
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
	v1 := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(prompb.Sample{Value: 1, Timestamp: now}, "__name__", "one")}}
	body, err := v1.Marshal()
	must(err)
	code, text := send(base, version1, "0.1.0", body)
	fmt.Printf("sample in 1.0: %d%s, series: %s\n", code, text, stored())

	symbols := writev2.NewSymbolTable()
	v2 := writev2.Request{Timeseries: []writev2.TimeSeries{{
		LabelsRefs: []uint32{symbols.Symbolize("__name__"), symbols.Symbolize("two")},
		Samples:    []writev2.Sample{{Value: 1, Timestamp: now}},
	}}}
	v2.Symbols = symbols.Symbols()
	body, err = v2.Marshal()
	must(err)
	code, text = send(base, version2, "2.0.0", body)
	fmt.Printf("sample in 2.0: %d%s, series: %s\n", code, text, stored())
}

// stored is how many series its database has, as it says itself.
func stored() string {
	for line := range strings.Lines(get(os.Getenv("METRICS"), "/metrics")) {
		if strings.HasPrefix(line, "prometheus_tsdb_head_series{") {
			return strings.Fields(line)[1]
		}
	}
	return "unknown"
}
GO
cat >want <<'WANT'
sample in 1.0: 200, series: 1
sample in 2.0: 200, series: 1
WANT
BASE=$base METRICS=http://$http WRITE_PATH=/api/v1/receive gorun $prometheus $experimental >got
same
