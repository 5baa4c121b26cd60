package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
)

// counter is a remote-write 1.0 receiver that counts and forgets: it costs
// little beside the sender that is measured.
type counter struct {
	prefix  string // only series with names like this count
	samples atomic.Int64
	markers atomic.Int64 // stale ones among them
	bytes   atomic.Int64 // as on the wire
	calls   atomic.Int64
	delay   time.Duration // how long an answer takes; set before the first request
	url     string
	judge   *judge // nil: nobody looks at single series
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
	if strings.Contains(r.Header.Get("Content-Type"), "write.v2") {
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
	c.bytes.Add(int64(len(body)))
	c.calls.Add(1)
	time.Sleep(c.delay)
	for _, ts := range req.Timeseries {
		for _, l := range ts.Labels {
			if l.Name == "__name__" && strings.HasPrefix(l.Value, c.prefix) {
				c.count(ts.Samples)
				if c.judge != nil {
					c.judge.see(ts.Labels, ts.Samples)
				}
			}
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *counter) count(samples []prompb.Sample) {
	c.samples.Add(int64(len(samples)))
	for _, s := range samples {
		if value.IsStaleNaN(s.Value) {
			c.markers.Add(1)
		}
	}
}
