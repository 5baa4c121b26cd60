#!/bin/sh
# A sender that lost an answer sends the same bytes again, which other receivers store once. VictoriaMetrics
# (Debian's 1.79.5; 1.150 as well) keeps each copy, and count_over_time and sum_over_time count
# them, unless -dedup.minScrapeInterval is set; 1ms is enough, and drops nothing else.
. "$(dirname "$0")/lib.sh"
remote_sender
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/prompb"
)

func main() {
	base, now := os.Getenv("BASE"), time.Now()
	req := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(prompb.Sample{Value: 5, Timestamp: now.UnixMilli()}, "__name__", "m")}}
	body, err := req.Marshal()
	must(err)
	for range 3 {
		if code, text := send(base, version1, "0.1.0", body); code != 204 {
			panic(text)
		}
	}
	get(base, "/internal/force_flush")
	at := strconv.FormatInt(now.Unix()+60, 10)
	for _, query := range []string{"count_over_time(m[5m])", "sum_over_time(m[5m])"} {
		answer := get(base, "/api/v1/query", "query", query, "time", at)
		value := regexp.MustCompile(`"value":\[\d+,"(.*?)"\]`).FindStringSubmatch(answer)
		if value == nil {
			panic(answer)
		}
		fmt.Println(os.Getenv("NAME"), query, value[1])
	}
}
GO
debian_victoriametrics
BASE=$base NAME=default: gorun $prometheus $experimental >got
mkdir second && cd second && mv ../main.go ../sender.go ../go.mod ../go.sum .
base=http://127.0.0.1:$(port)
victoria-metrics -storageDataPath=data -httpListenAddr="${base#http://}" -search.latencyOffset=0s -dedup.minScrapeInterval=1ms >server.log 2>&1 &
pids="$pids $!"
ready "$base/health"
BASE=$base NAME=dedup: go run . >>../got
cd ..
cat >want <<'WANT'
default: count_over_time(m[5m]) 3
default: sum_over_time(m[5m]) 15
dedup: count_over_time(m[5m]) 1
dedup: sum_over_time(m[5m]) 5
WANT
same
