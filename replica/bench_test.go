package replica

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/gateway"
)

// BenchmarkForward forwards pushes of 20 series to a replica that only reads them, behind a lane, and
// waits as long as a commit takes. What that one costs is in the figures too.
func BenchmarkForward(b *testing.B) {
	for _, pushers := range []int{1, 32} {
		b.Run(fmt.Sprintf("pushers=%d", pushers), func(b *testing.B) {
			r := newBenchRig(b)
			h := r.Forward(nil)
			body := strings.Repeat("bench_job_stage_duration_seconds{stage=\"stage\",region=\"eu-central-1\"} 1.5\n", 20)
			b.SetParallelism(max(pushers/2, 1))
			b.ReportAllocs()
			b.ResetTimer()
			if pushers == 1 {
				for b.Loop() {
					forwardOne(b, h, body)
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					forwardOne(b, h, body)
				}
			})
		})
	}
}

func newBenchRig(b *testing.B) *rig {
	b.Helper()
	r := newRig(b, time.Minute)
	r.behindLane(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		w.Header().Set(headHeader, "0")
		w.Header().Set(gateway.PushIDHeader, "0123456789abcdef-1234")
	}))
	return r
}

func forwardOne(b *testing.B, h http.Handler, body string) {
	q, err := http.NewRequestWithContext(context.Background(), http.MethodPut, "/here/metrics/job/a", strings.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	q.Host = "gateway:9091"
	w := blank{header: make(http.Header, 4)}
	if h.ServeHTTP(&w, q); w.status != http.StatusOK {
		b.Errorf("answered %d", w.status)
	}
}

// blank is a ResponseWriter that keeps the status and the header.
type blank struct {
	header http.Header
	status int
}

func (w *blank) Header() http.Header         { return w.header }
func (w *blank) Write(b []byte) (int, error) { return len(b), nil }
func (w *blank) WriteHeader(status int)      { w.status = status }
