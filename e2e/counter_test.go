package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// counter is a remote-write receiver, 1.0 and 2.0, that counts and forgets: it costs
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
	raw, err := snappy.Decode(nil, body)
	if err == nil {
		if v2 := strings.Contains(r.Header.Get("Content-Type"), "write.v2"); v2 {
			err = c.take2(w, raw)
		} else {
			err = c.take1(raw)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.bytes.Add(int64(len(body)))
	c.calls.Add(1)
	time.Sleep(c.delay)
	w.WriteHeader(http.StatusNoContent)
}

func (c *counter) take1(raw []byte) error {
	var req prompb.WriteRequest
	if err := req.Unmarshal(raw); err != nil {
		return err
	}
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
	return nil
}

// take2 counts only; nobody looks at single series here.
func (c *counter) take2(w http.ResponseWriter, raw []byte) error {
	var req writev2.Request
	if err := req.Unmarshal(raw); err != nil {
		return err
	}
	n := 0
	for _, ts := range req.Timeseries {
		n += len(ts.Samples)
		for i := 0; i+1 < len(ts.LabelsRefs); i += 2 {
			if req.Symbols[ts.LabelsRefs[i]] == "__name__" && strings.HasPrefix(req.Symbols[ts.LabelsRefs[i+1]], c.prefix) {
				c.samples.Add(int64(len(ts.Samples)))
			}
		}
	}
	w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(n))
	return nil
}

func (c *counter) count(samples []prompb.Sample) {
	c.samples.Add(int64(len(samples)))
	for _, s := range samples {
		if value.IsStaleNaN(s.Value) {
			c.markers.Add(1)
		}
	}
}
