#!/bin/sh
# Prometheus (v0.314.0) spells le="1" of a scraped histogram le="1.0". Its remote-write
# handler stores what it is sent. A sender that passes on what an exporter shows makes
# a second series beside the scraped one, and a query over both counts twice. A label le of
# another type stays as it is when scraped, so the sender has to know the type.
. "$(dirname "$0")/lib.sh"
write_handler
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/prompb"
)

func main() {
	text := "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# TYPE g gauge\ng{le=\"1\"} 1\n"
	p, err := textparse.New([]byte(text), "text/plain; version=0.0.4", labels.NewSymbolTable(), textparse.ParserOptions{})
	must(err)
	for {
		entry, err := p.Next()
		if err == io.EOF {
			break
		}
		must(err)
		if entry == textparse.EntrySeries {
			var l labels.Labels
			p.Labels(&l)
			fmt.Println("scraped:", l)
		}
	}
	r := newReceiver()
	req := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:  []prompb.Label{{Name: "__name__", Value: "h_bucket"}, {Name: "le", Value: "1"}},
		Samples: []prompb.Sample{{Value: 1, Timestamp: time.Now().UnixMilli()}},
	}}}
	body, err := req.Marshal()
	must(err)
	fmt.Println("sent:", r.post(body, "application/x-protobuf", "0.1.0").StatusCode)
	series, _ := r.stored()
	fmt.Println("stored:", series[0])
}
GO
cat >want <<'WANT'
scraped: {__name__="h_bucket", le="1.0"}
scraped: {__name__="g", le="1"}
sent: 204
stored: {__name__="h_bucket", le="1"}
WANT
gorun $prometheus $experimental >got
same
