#!/bin/sh
# Prometheus' remote-write handler (v0.314.0) compares the content type as text. The same
# media type as Go's mime.FormatMediaType writes it, with a blank behind the semicolon,
# makes it read a 2.0 message as an empty 1.0 one: 204, and nothing is stored.
. "$(dirname "$0")/lib.sh"
write_handler
cat >main.go <<'GO'
package main

import (
	"fmt"
	"mime"
	"time"

	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

func main() {
	symbols := writev2.NewSymbolTable()
	req := writev2.Request{Timeseries: []writev2.TimeSeries{{
		LabelsRefs: []uint32{symbols.Symbolize("__name__"), symbols.Symbolize("m")},
		Samples:    []writev2.Sample{{Value: 1, Timestamp: time.Now().UnixMilli()}},
	}}}
	req.Symbols = symbols.Symbols()
	body, err := req.Marshal()
	must(err)
	for _, contentType := range []string{
		mime.FormatMediaType("application/x-protobuf", map[string]string{"proto": "io.prometheus.write.v2.Request"}),
		"application/x-protobuf;proto=io.prometheus.write.v2.Request",
	} {
		r := newReceiver()
		resp := r.post(body, contentType, "2.0.0")
		_, n := r.stored()
		fmt.Printf("%s: %d, written %q, stored %d\n", contentType, resp.StatusCode, resp.Header.Get("X-Prometheus-Remote-Write-Samples-Written"), n)
	}
}
GO
cat >want <<'WANT'
application/x-protobuf; proto=io.prometheus.write.v2.Request: 204, written "", stored 0
application/x-protobuf;proto=io.prometheus.write.v2.Request: 204, written "1", stored 1
WANT
gorun $prometheus $experimental >got
same
