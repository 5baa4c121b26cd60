package ingest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/state"
)

// rig is a Handler on a real gateway in memory.
type rig struct {
	*Handler
	t     testing.TB
	store *state.Store
	log   *gateway.Log
	stop  context.CancelFunc
	ended chan struct{} // closed when the log has ended
}

func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	g := newIdleRig(t, o)
	g.run()
	return g
}

// newIdleRig returns a rig whose log does not run yet.
func newIdleRig(t testing.TB, o Options) *rig {
	t.Helper()
	own := prometheus.NewRegistry()
	own.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "go_goroutines", Help: "One of the gateway's own."}))
	gw, err := gateway.Open(queue.NewMemory(), gateway.Options{
		State: state.Options{
			CheckConsistency: !o.Unchecked, MaxGroups: o.Limits.MaxGroups, MaxSeriesPerGroup: o.Limits.MaxSeries,
		},
		Own: own,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, store: gw.State(), log: gw.Log(), ended: make(chan struct{}), Handler: NewHandler(gw, o)}
}

// run runs the log until the test ends.
func (g *rig) run() {
	var ctx context.Context
	ctx, g.stop = context.WithCancel(context.WithoutCancel(g.t.Context()))
	go func() {
		defer close(g.ended)
		if err := g.log.Run(ctx); err != nil {
			g.t.Errorf("run log: %v", err)
		}
	}()
	g.t.Cleanup(func() {
		g.stopLog()
		if err := g.log.Close(); err != nil {
			g.t.Errorf("close log: %v", err)
		}
	})
}

// stopLog ends the log, so that it takes no more changes.
func (g *rig) stopLog() {
	g.stop()
	<-g.ended
}

// do sends one request with headers as "Name: value".
func (g *rig) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	g.t.Helper()
	return g.send(method, path, strings.NewReader(body), headers...)
}

func (g *rig) send(method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	g.t.Helper()
	r := httptest.NewRequestWithContext(g.t.Context(), method, path, body)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

// settle waits until everything sequenced so far is settled, also what nobody
// waits for.
func (g *rig) settle() {
	done := make(chan struct{})
	err := g.log.Append(&group.Record{Kind: group.KindClock}, g.log.Generation(), func(uint64, error) { close(done) })
	if err != nil {
		return // closed: everything is settled
	}
	<-done
}

// keys lists the groups there are, sorted.
func (g *rig) keys() []string {
	g.settle()
	var keys []string
	for _, gr := range g.store.Groups() {
		keys = append(keys, gr.Labels.String())
	}
	slices.Sort(keys)
	return keys
}

// state prints every group with whether it has a push time and a failure time,
// and with its series, in the order of the view.
func (g *rig) state() string {
	g.settle()
	groups := g.store.Groups()
	slices.SortFunc(groups, func(a, b *group.Group) int { return strings.Compare(a.Labels.String(), b.Labels.String()) })
	var b strings.Builder
	for _, gr := range groups {
		b.WriteString(gr.Labels.String())
		if gr.Push != 0 {
			b.WriteString(" pushed")
		}
		if gr.Fail != 0 {
			b.WriteString(" failed")
		}
		b.WriteByte('\n')
		for _, m := range gr.Members {
			g.series(&b, m, gr.Labels)
		}
	}
	if n := g.store.LiveConflicts(); n > 0 {
		fmt.Fprintf(&b, "%d conflict\n", n)
	}
	return b.String()
}

func (g *rig) series(b *strings.Builder, m group.Member, l group.Labels) {
	var text strings.Builder
	if _, err := expfmt.MetricFamilyToText(&text, m.DTO(l)); err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString("\t" + line)
		}
	}
}

var _ http.Handler = (*rig)(nil)

// idle checks that no request kept memory of the budget.
func (g *rig) idle() {
	g.t.Helper()
	if n := g.bodies.budget.used.Load(); n != 0 {
		g.t.Errorf("%d bytes of the budget are not given back", n)
	}
}

// rawPut announces more than it sends, over a real connection.
func rawPut(t *testing.T, h http.Handler, body string, announced int, encoding string) (int, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /metrics/job/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", announced)
	if encoding != "" {
		fmt.Fprintf(conn, "Content-Encoding: %s\r\n", encoding)
	}
	fmt.Fprintf(conn, "\r\n%s", body)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}
