package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// counter is a remote-write 1.0 receiver that counts and forgets: it costs
// little beside the sender that is measured.
type counter struct {
	prefix   string // only series with names like this count
	samples  atomic.Int64
	bytes    atomic.Int64 // as on the wire
	requests atomic.Int64
	url      string
}

func newCounter(t testing.TB, prefix string) *counter {
	t.Helper()
	c := &counter{prefix: prefix}
	srv := httptest.NewServer(c)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	c.url = srv.URL + "/api/v1/write"
	return c
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if bytes.Contains([]byte(r.Header.Get("Content-Type")), []byte("proto=io.prometheus.write.v2")) {
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var req prompb.WriteRequest
	if err := req.Unmarshal(raw); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n := 0
	for _, ts := range req.Timeseries {
		for _, l := range ts.Labels {
			if l.Name == "__name__" && len(l.Value) >= len(c.prefix) && l.Value[:len(c.prefix)] == c.prefix {
				n += len(ts.Samples)
			}
		}
	}
	c.requests.Add(1)
	c.bytes.Add(int64(len(body)))
	c.samples.Add(int64(n))
	w.WriteHeader(http.StatusNoContent)
}
