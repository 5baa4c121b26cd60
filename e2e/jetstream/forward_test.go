package jetstream_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// followers returns those that do not lead.
func (r *replicas) followers() (all []*gateway) {
	r.t.Helper()
	leader := r.leader()
	for _, g := range r.all {
		if g != leader {
			all = append(all, g)
		}
	}
	return all
}

// request sends one, and returns its answer.
func request(t testing.TB, method, url, body string, headers ...string) (status int, header http.Header, text string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	a, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, a.Header, string(b)
}

// shows reports whether the gateway shows a line.
func (g *gateway) shows(line string) bool {
	_, body := get(g.url + "/metrics")
	return strings.Contains(body, line+"\n")
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestForward changes things at replicas that do not lead. What they answer is what the one that leads
// says, and can be read where it was asked for at once, and everywhere soon.
func TestForward(t *testing.T) {
	r := newReplicas(t)
	for _, g := range r.all {
		eventually(t, g.id+" is ready", g.ready)
	}
	all := r.followers()
	g := all[0]
	expect := func(method, path, body string, want int, headers ...string) (http.Header, string) {
		t.Helper()
		status, header, text := request(t, method, g.url+path, body, headers...)
		if status != want {
			t.Fatalf("%s %s: %d %s, want %d", method, path, status, text, want)
		}
		return header, text
	}
	everywhere := func(what string, ok func(*gateway) bool) {
		t.Helper()
		if !ok(g) {
			t.Errorf("%s: not where it was asked for", what)
		}
		for _, g := range r.all {
			eventually(t, what+" at "+g.id, func() bool { return ok(g) })
		}
	}
	for i := range 30 {
		g = all[i%2]
		header, _ := expect(http.MethodPut, "/metrics/job/mine/n@base64/L2E", fmt.Sprintf("x %d\n", i), http.StatusOK)
		everywhere("a push", func(g *gateway) bool { return g.shows(fmt.Sprintf(`x{instance="",job="mine",n="/a"} %d`, i)) })
		if header.Get("X-Pushbridge-Push-Id") == "" {
			t.Errorf("%v", header)
		}
	}
	expect(http.MethodPost, "/metrics/job/zip", zipped(t, "z 1\n"), http.StatusOK, "Content-Encoding", "gzip")
	everywhere("a compressed push", func(g *gateway) bool { return g.shows(`z{instance="",job="zip"} 1`) })
	header, text := expect(http.MethodPut, "/metrics/job/wait?wait=delivered", "w 1\n", http.StatusOK)
	if !strings.Contains(text, `"delivered"`) {
		t.Errorf("waited for its delivery: %s", text)
	}
	if status, body := get(g.url + "/api/v1/pushes/" + header.Get("X-Pushbridge-Push-Id")); status != http.StatusOK || !strings.Contains(body, `"delivered"`) {
		t.Errorf("what became of the push: %d %s", status, body)
	}
	_, text = expect(http.MethodPut, "/metrics/job/bad", "x{ 1\n", http.StatusBadRequest)
	if !strings.Contains(text, "line 1") {
		t.Errorf("the refusal is %q", text)
	}
	_, text = expect(http.MethodPut, "/metrics/job/bad", "# TYPE x counter\nx 1\n", http.StatusBadRequest)
	everywhere("a failure time", func(g *gateway) bool {
		_, body := get(g.url + "/metrics")
		return strings.Contains(body, `push_failure_time_seconds{instance="",job="bad"} 1`) && strings.Contains(text, "x")
	})
	expect(http.MethodDelete, "/metrics/job/zip", "", http.StatusAccepted)
	everywhere("a DELETE", func(g *gateway) bool { return !g.shows(`z{instance="",job="zip"} 1`) })
	expect(http.MethodDelete, `/api/v1/groups?match[]=%7Bjob%3D%22wait%22%7D`, "", http.StatusAccepted)
	everywhere("a DELETE by matcher", func(g *gateway) bool { return !g.shows(`w{instance="",job="wait"} 1`) })
	expect(http.MethodPut, "/api/v1/admin/wipe", "", http.StatusAccepted)
	everywhere("a wipe", func(g *gateway) bool { return !g.shows(`x{instance="",job="mine",n="/a"} 29`) })

	status, _, _ := request(t, http.MethodPut, g.url+"/metrics/job/loop", "x 1\n", "X-Pushbridge-Forwarded-By", "other", "X-Pushbridge-Epoch", "1")
	if status != http.StatusMisdirectedRequest {
		t.Errorf("what was forwarded to one that does not lead: %d", status)
	}
	r.known(t)
	if n := g.metric(`pushbridge_replica_forwarded_total{outcome="answered"}`); n < 10 {
		t.Errorf("%v were forwarded", n)
	}
	arrived(t, r.leader(), r.receiver)
}

// known holds what each replica says of all of them to be the same.
func (r *replicas) known(t *testing.T) {
	t.Helper()
	leader := r.leader()
	for _, g := range r.all {
		eventually(t, g.id+" knows all replicas", func() bool {
			var a struct {
				Data struct {
					Here   string
					Epoch  int
					Leader struct {
						ID, Address string
						Since       time.Time
					}
					Replicas []struct {
						ID     string
						Leads  bool
						Behind int
					}
				}
			}
			_, body := get(g.url + "/api/v1/replicas")
			if err := json.Unmarshal([]byte(body), &a); err != nil {
				return false
			}
			d, leads := a.Data, ""
			for _, one := range d.Replicas {
				if one.Leads {
					leads += one.ID
				}
			}
			return len(d.Replicas) == 3 && d.Here == g.id && d.Leader.ID == leader.id && d.Leader.Address == leader.url && d.Epoch > 0 && leads == leader.id
		})
		if n := g.metric("pushbridge_replica_epoch "); n < 1 {
			t.Errorf("%s is in epoch %v", g.id, n)
		}
		if _, page := get(g.url + "/status"); !strings.Contains(page, "replica "+leader.id) {
			t.Errorf("the page of %s does not say who leads: %s", g.id, page)
		}
	}
}

// TestRollingRestart: while each replica is stopped and started again, no push that reaches one
// fails, also none that another one would have to carry out.
func TestRollingRestart(t *testing.T) {
	r := newReplicas(t)
	for _, g := range r.all {
		eventually(t, g.id+" is ready", g.ready)
	}
	began := time.Now()
	l := startLoad(t, 8, r.anyone)
	l.flow(100)
	for _, g := range r.all {
		g.stop()
		l.flow(50)
		g.start()
		eventually(t, g.id+" is ready again", g.ready)
	}
	l.flow(50)
	l.stop()
	t.Logf("%d pushes, %d found nobody, %d failed, %v without an answer at most", l.pushes.Load(), l.cut.Load(), l.failed.Load(), l.silence(began))
	if l.failed.Load() > 0 || l.silence(began) > 12*time.Second {
		t.Errorf("%d pushes failed", l.failed.Load())
	}
	r.settled(l)
}
