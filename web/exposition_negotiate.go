package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/common/expfmt"
)

// negotiateFormat picks the format by the Accept header: text, or one of the
// protobuf formats; never OpenMetrics, as pushed metrics do not have what it
// demands.
func negotiateFormat(h http.Header) expfmt.Format {
	return expfmt.NegotiateAccept(h, expfmt.DefaultAcceptedFormats()...)
}

// takesGzip says whether Accept-Encoding names gzip and does not like identity
// as much. A * stands for identity.
func takesGzip(h http.Header) bool {
	zip, plain := 0.0, 0.0
	for _, line := range h.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(line, ",") {
			switch name, q := parseEncoding(part); name {
			case "gzip":
				zip = max(zip, q)
			case "identity", "*":
				plain = max(plain, q)
			}
		}
	}
	return zip > plain
}

// parseEncoding splits an element of Accept-Encoding into the name and its
// weight. A weight that is no number counts as 0.
func parseEncoding(s string) (name string, q float64) {
	name, param, found := strings.Cut(s, ";")
	name = strings.TrimSpace(name)
	if !found {
		return name, 1
	}
	value, ok := strings.CutPrefix(strings.TrimSpace(param), "q=")
	if !ok {
		return name, 0
	}
	q, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return name, 0
	}
	return name, q
}
