package job

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/client"
)

// rig is a reporter on a gateway, and what both have said.
type rig struct {
	*Reporter
	dir    string // of spool
	spool  *client.Spool
	mu     sync.Mutex
	pushed []string // the metrics of each push, without the values
	said   []string
}

func newRig(t *testing.T, answer http.HandlerFunc, timeout time.Duration) *rig {
	t.Helper()
	r := &rig{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.pushed = append(r.pushed, req.Method+" "+names(string(body)))
		r.mu.Unlock()
		answer(w, req)
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(client.Options{URL: srv.URL, AttemptTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	r.dir = filepath.Join(t.TempDir(), "spool")
	if r.spool, err = client.OpenSpool(r.dir, 1<<20); err != nil {
		t.Fatal(err)
	}
	r.Reporter = NewReporter(Options{
		Client: c, Grouping: []client.Label{{Name: "job", Value: "j"}}, Spool: r.spool, Timeout: timeout,
		Say: func(format string, args ...any) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.said = append(r.said, fmt.Sprintf(format, args...))
		},
	})
	return r
}

// names shortens a text to the names of its samples.
func names(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if name, _, _ := strings.Cut(line, " "); !strings.HasPrefix(line, "#") {
			out = append(out, strings.TrimPrefix(name, "batch_job_"))
		}
	}
	return strings.Join(out, " ")
}

func (r *rig) spooled(t *testing.T) (got []string) {
	t.Helper()
	err := r.spool.Send(t.Context(), func(_ context.Context, p client.Push) error {
		got = append(got, p.Method+" "+names(string(p.Body)))
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func metricsFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "metrics")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const (
	whole = "POST start_time_seconds end_time_seconds duration_seconds exit_code last_success_time_seconds" +
		` cpu_seconds{mode="system"} cpu_seconds{mode="user"} max_resident_memory_bytes`
	failed = "POST start_time_seconds end_time_seconds duration_seconds exit_code" +
		` cpu_seconds{mode="system"} cpu_seconds{mode="user"} max_resident_memory_bytes`
	notRun = "POST start_time_seconds end_time_seconds duration_seconds exit_code"
)

func TestReport(t *testing.T) {
	for _, tt := range []struct {
		name    string
		result  Result
		metrics string
		want    []string
	}{
		{"success", Result{MaxRSS: 1}, "", []string{"POST start_time_seconds", whole}},
		{"failure", Result{Code: 1, MaxRSS: 1}, "", []string{"POST start_time_seconds", failed}},
		{"not found", Result{Code: 127, Err: os.ErrNotExist}, "", []string{"POST start_time_seconds", notRun}},
		{"own metrics", Result{MaxRSS: 1}, "rows 1\n", []string{"POST start_time_seconds", "POST rows", whole}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(http.ResponseWriter, *http.Request) {}, time.Minute)
			r.Begin()(time.Now())
			if err := r.Ended(t.Context(), tt.result, metricsFile(t, tt.metrics)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, r.pushed); diff != "" || len(r.said) > 0 {
				t.Errorf("(-want +got)\n%s%v", diff, r.said)
			}
		})
	}
}

// TestReportTimeout spools what a gateway does not answer in time.
func TestReportTimeout(t *testing.T) {
	r := newRig(t, func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, 20*time.Millisecond)
	go r.Begin()(time.Now())
	if err := r.Ended(t.Context(), Result{MaxRSS: 1}, metricsFile(t, "rows 1\n")); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff([]string{"POST rows", whole}, r.spooled(t)); diff != "" || len(r.said) != 2 {
		t.Errorf("(-want +got)\n%s%v", diff, r.said)
	}
}

// TestReportStopped spools at once what a signal keeps from being sent.
func TestReportStopped(t *testing.T) {
	r := newRig(t, func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, time.Hour)
	go r.Begin()(time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Ended(ctx, Result{MaxRSS: 1}, ""); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff([]string{whole}, r.spooled(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSpoolComesFirst sends what former runs left before the start of this one.
func TestSpoolComesFirst(t *testing.T) {
	r := newRig(t, func(http.ResponseWriter, *http.Request) {}, time.Minute)
	if _, err := r.spool.Add(client.NewPush(http.MethodPost, nil, []byte("old 1\n"))); err != nil {
		t.Fatal(err)
	}
	r.Begin()(time.Now())
	if err := r.Ended(t.Context(), Result{MaxRSS: 1}, ""); err != nil {
		t.Fatal(err)
	}
	want := []string{"POST old", "POST start_time_seconds", whole}
	if diff := cmp.Diff(want, r.pushed); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSpoolThatCannotBeLocked pushes all the same: it is no other process that sends. Whoever
// may not write to the spool of another user was told so, and lost its run.
func TestSpoolThatCannotBeLocked(t *testing.T) {
	r := newRig(t, func(http.ResponseWriter, *http.Request) {}, time.Minute)
	if _, err := r.spool.Add(client.NewPush(http.MethodPost, nil, []byte("old 1\n"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.dir, "sending.lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.Begin()(time.Now())
	if err := r.Ended(t.Context(), Result{MaxRSS: 1}, ""); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"POST start_time_seconds", whole}, r.pushed); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(r.said) == 0 || !strings.HasPrefix(r.said[0], "spool: ") {
		t.Errorf("said %q", r.said)
	}
}
