#!/bin/sh
# VictoriaMetrics 1.79.5 (Debian 12's) takes the first 30 labels of a series and answers 204. Series that
# differ in a later label become one, with the samples of both: a sum over them sees one of two,
# and a rate jumps between them. (Newer ones drop the series instead, as silently.)
. "$(dirname "$0")/lib.sh"
debian_victoriametrics
remote_sender
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/prometheus/prompb"
)

func main() {
	base := os.Getenv("BASE")
	var req prompb.WriteRequest
	for _, last := range []string{"a", "b"} {
		pairs := []string{"__name__", "m"}
		for i := range 35 {
			pairs = append(pairs, fmt.Sprintf("l%02d", i), "x")
		}
		req.Timeseries = append(req.Timeseries, series(prompb.Sample{Value: 1, Timestamp: time.Now().UnixMilli()}, append(pairs, "zone", last)...))
	}
	body, err := req.Marshal()
	must(err)
	code, text := send(base, version1, "0.1.0", body)
	fmt.Println("sent two series of 37 labels:", code, text)
	get(base, "/internal/force_flush")
	got := get(base, "/api/v1/series", "match[]", "m")
	fmt.Println("stored series:", strings.Count(got, `"__name__"`), "with a zone:", strings.Count(got, `"zone"`))
}
GO
cat >want <<'WANT'
sent two series of 37 labels: 204 
stored series: 1 with a zone: 0
WANT
BASE=$base gorun $prometheus $experimental >got
same
