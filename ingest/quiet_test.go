package ingest

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestQuotesAreCut has clients whose mistakes are long: neither the answer nor the
// log repeats them.
func TestQuotesAreCut(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, tc := range []struct {
		name, path, body, header string
		options                  Options
		code                     int
	}{
		{name: "metric name", path: "a", body: long + "-\n", code: 400},
		{name: "metric name of quotes", path: "a", body: "m " + strings.Repeat(`"`, 1<<18) + "\n", code: 400},
		{name: "value", path: "a", body: "m " + long + "\n", code: 400},
		{name: "timestamp", path: "a", body: "m 1 " + long + "\n", code: 400},
		{name: "label value", path: "a", body: `m{l="` + long + "\n", code: 400},
		{name: "label without quotes", path: "a", body: "m{" + long + "=1} 1\n", code: 400},
		{name: "type", path: "a", body: "# TYPE m " + long + "\n", code: 400},
		{name: "second type", path: "a", body: "# TYPE " + long + " gauge\n# TYPE " + long + " gauge\n", code: 400},
		{name: "series with a timestamp", path: "a", body: `m{l="` + long + "\"} 1 1\n", code: 400},
		{name: "family with a timestamp", path: "a", body: long + " 1 1\n", code: 400},
		{name: "same series twice", path: "a", body: strings.Repeat(`m{l="`+long+"\"} 1\n", 2), code: 400},
		{name: "reserved label", path: "a", body: "m{__" + long + "=\"\"} 1\n", code: 400},
		{name: "collision of names", path: "a", body: "# TYPE " + long + " summary\n" + long + "_sum 1\n" + long + "_total 1\n" + long + "_count_x 1 1\n", code: 400},
		{name: "label beyond its limit", path: "a", body: "m{" + long + "=\"" + long + "\"} 1\n", options: Options{Limits: Limits{MaxLabelLength: 5}}, code: 400},
		{name: "many labels", path: "a", body: "m{" + manyLabels(1000) + "} 1 1\n", code: 400},
		{name: "too many labels", path: "a", body: long + "{" + manyLabels(1000) + "} 1\n", options: Options{Limits: Limits{MaxLabels: 100}}, code: 400},
		{name: "path with an odd number", path: "a/" + long, code: 400},
		{name: "label name in the path", path: "a/-" + long + "/x", code: 400},
		{name: "base64 of the job", path: "@base64/+" + long, code: 400},
		{name: "base64 of a label", path: "a/x@base64/+" + long, code: 400},
		{name: "value in the path that is not UTF-8", path: "a/x/%ff" + long, code: 400},
		{name: "label in the path beyond its limit", path: "a/" + long + "/x", options: Options{Limits: Limits{MaxLabelLength: 5}}, code: 400},
		{name: "group of a refused push", path: "a/x/" + long, body: "m 1 1\n", code: 400},
		{name: "ttl", path: "a?ttl=" + long, code: 400},
		{name: "encoding", path: "a", body: "m\n", header: "Content-Encoding: " + long, code: 400},
		{name: "matchers", path: "?match[]={" + long + "=", code: 400},
		{name: "regular expression", path: "?match[]=" + url.QueryEscape(`{a=~"(`+long+`"}`), code: 400},
		{name: "dry run", path: "?match[]={a=b}&dry_run=" + long, code: 400},
		{name: "deletion by matchers", path: "?match[]={job=" + long + "}", code: 202},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			tc.options.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			tc.options.AdminAPI = true
			g := newRig(t, tc.options)
			if strings.HasPrefix(tc.path, "?") {
				w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "DELETE", GroupsPath+tc.path, nil)
				g.ServeGroups(w, r)
				checkBrief(t, w.Code, tc.code, w.Body.String(), log.String())
				return
			}
			if !strings.HasPrefix(tc.path, "@") {
				tc.path = "/" + tc.path
			}
			w := g.do("PUT", "/metrics/job"+tc.path, tc.body, tc.header)
			checkBrief(t, w.Code, tc.code, w.Body.String(), log.String())
		})
	}
}

func manyLabels(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "l%d=\"v\",", i)
	}
	return b.String()
}

func checkBrief(t *testing.T, code, want int, answer, log string) {
	t.Helper()
	if code != want {
		t.Errorf("got %d, want %d", code, want)
	}
	if len(answer) > 3000 {
		t.Errorf("the answer has %d bytes: %.1000s", len(answer), answer)
	}
	if log == "" {
		t.Error("nothing was logged")
	}
	for line := range strings.Lines(log) {
		if len(line) > 6000 {
			t.Errorf("a log line has %d bytes: %.1000s", len(line), line)
		}
	}
}

// lockedBuffer is written to by timers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestQuietLog holds that lines are few, each reason has its own, and what was
// left out is said.
func TestQuietLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		q := newQuietLog(slog.New(slog.NewTextHandler(&log, nil)))
		count := func(what string) int { return strings.Count(log.String(), what) }
		for range 1000 {
			q.Log(t.Context(), slog.LevelWarn, "refused", "one")
		}
		q.Log(t.Context(), slog.LevelError, "refused", "two")
		synctest.Wait()
		if count("reason=one") != quietLines || count("reason=two") != 1 {
			t.Errorf("logged:\n%s", log.String())
		}
		time.Sleep(quietWindow)
		synctest.Wait()
		if got := count(`msg="log lines left out" reason=one of=refused lines=990 within=10s`); got != 1 {
			t.Errorf("logged:\n%s", log.String())
		}
		time.Sleep(quietWindow)
		synctest.Wait()
		if count("left out") != 1 {
			t.Errorf("nothing was left out since:\n%s", log.String())
		}
		q.Log(t.Context(), slog.LevelWarn, "refused", "one")
		if count("msg=refused reason=one") != quietLines+1 {
			t.Errorf("a new window lets lines through:\n%s", log.String())
		}
		time.Sleep(quietWindow)
		synctest.Wait()
	})
}
