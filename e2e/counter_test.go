package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
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
	if c.judge != nil {
		var req prompb.WriteRequest
		if err := req.Unmarshal(raw); err != nil {
			return err
		}
		for _, ts := range req.Timeseries {
			if name := slices.IndexFunc(ts.Labels, func(l prompb.Label) bool { return l.Name == "__name__" }); name >= 0 && strings.HasPrefix(ts.Labels[name].Value, c.prefix) {
				c.judge.see(ts.Labels, ts.Samples)
			}
		}
	}
	t, err := tally1(raw, []byte(c.prefix))
	c.count(t)
	return err
}

// take2 counts only; nobody looks at single series here.
func (c *counter) take2(w http.ResponseWriter, raw []byte) error {
	t, err := tally2(raw, []byte(c.prefix))
	c.count(t)
	w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(t.all))
	return err
}

func (c *counter) count(t tally) {
	c.samples.Add(int64(t.counted))
	c.markers.Add(int64(t.markers))
}
