package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// door answers with a status until it is opened, and lets requests through then.
type door struct {
	next   http.Handler
	status int
	open   atomic.Bool
}

func newDoor(next http.Handler, status int) *door { return &door{next: next, status: status} }

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !d.open.Load() {
		http.Error(w, "go away", d.status)
		return
	}
	d.next.ServeHTTP(w, r)
}

// pushHeld pushes rising values to one series.
func pushHeld(t *testing.T, g *gateway, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		must(t, http.MethodPut, g.url+"/metrics/job/held", fmt.Sprintf("held_value %d\n", n))
	}
}

// waitState waits until a destination is in a state.
func waitState(t *testing.T, g *gateway, destination, state string) {
	t.Helper()
	want := fmt.Sprintf("pushbridge_remotewrite_destination_state{destination=%q,state=%q} 1\n", destination, state)
	eventually(t, destination+" is "+state, func() error {
		_, body, err := get(g.url + "/metrics")
		if err == nil && !strings.Contains(body, want) {
			err = fmt.Errorf("not %s", want)
		}
		return err
	})
}

// dropsNothing fails when a sample of these destinations was dropped.
func dropsNothing(t *testing.T, g *gateway, destinations ...string) {
	t.Helper()
	for line := range strings.Lines(mustGet(t, g.url+"/metrics")) {
		for _, d := range destinations {
			if strings.HasPrefix(line, "pushbridge_remotewrite_samples_dropped_total{destination=\""+d+"\"") && !strings.HasSuffix(line, " 0\n") {
				t.Error(line)
			}
		}
	}
}

// TestForgottenReceiverFlag is the first step of the README without the flag of
// Prometheus: every push of before it was restarted with it arrives, in order, also
// those that a kill -9 of the gateway came after, and nothing is dropped.
func TestForgottenReceiverFlag(t *testing.T) {
	dir := t.TempDir()
	p := startPrometheusIn(t, dir, "")
	config := writeConfig(t, fmt.Sprintf(`
remote_write:
  - {name: one, url: %q, protobuf_message: prometheus.WriteRequest, write_relabel_configs: [{target_label: by, replacement: one}]}
  - {name: negotiates, url: %q, write_relabel_configs: [{target_label: by, replacement: negotiates}]}
`, p.writeURL(), p.writeURL()))
	storage := t.TempDir()
	g := startPushbridgeIn(t, storage, "--config.file="+config, "--refresh.interval=0")
	pushHeld(t, g, 0, 30)
	waitState(t, g, "one", "refusing")
	waitState(t, g, "negotiates", "refusing")
	dropsNothing(t, g, "one", "negotiates")
	if log := g.output(); !strings.Contains(log, "--web.enable-remote-write-receiver") {
		t.Errorf("the log does not say what to do:\n%s", log)
	}
	g.kill()
	g = startPushbridgeIn(t, storage, "--config.file="+config, "--refresh.interval=0")
	pushHeld(t, g, 30, 60)
	waitState(t, g, "one", "refusing")

	p.restart(t, dir, "", enableReceiver)
	waitState(t, g, "one", "ok")
	waitState(t, g, "negotiates", "ok")
	for _, by := range []string{"one", "negotiates"} {
		eventually(t, "everything is there", func() error { return holdsAll(p, by, 60) })
	}
	dropsNothing(t, g, "one", "negotiates")
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pushbridge.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// holdsAll says whether a Prometheus has the values 0 to n-1, in this order.
func holdsAll(p *server, by string, n int) error {
	form := url.Values{"query": {fmt.Sprintf("held_value{by=%q}[1h]", by)}}
	_, body, err := get(p.url + "/api/v1/query?" + form.Encode())
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Result []struct{ Values [][2]any }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	if len(answer.Data.Result) != 1 {
		return fmt.Errorf("%d series", len(answer.Data.Result))
	}
	var got, want []string
	for _, v := range answer.Data.Result[0].Values {
		got = append(got, v[1].(string))
	}
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	got = slices.Compact(got) // a destination that was never sent anything gets the state once more
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d values: %v", len(got), got)
	}
	return nil
}

// TestWrongPathMendedByReload: 1.0 and 2.0, while another destination takes all.
func TestWrongPathMendedByReload(t *testing.T) {
	at := func(h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/api/v1/write", h)
		return mux
	}
	old, current, fine := newInProcess(t, onlyV1, at), newInProcess(t, bothProtocols, at), newInProcess(t, bothProtocols, at)
	config := func(path string) string {
		return fmt.Sprintf("remote_write:\n- {name: old, url: '%s%s'}\n- {name: current, url: '%s%s'}\n- {name: fine, url: '%s'}\n",
			old.srv.URL, path, current.srv.URL, path, fine.writeURL())
	}
	file := writeConfig(t, config("/api/v1/wrote"))
	g := startPushbridge(t, "--config.file="+file, "--web.enable-lifecycle", "--refresh.interval=0")
	pushHeld(t, g, 0, 20)
	waitState(t, g, "fine", "ok")
	checkHeld(t, fine, 20)
	waitState(t, g, "old", "refusing")
	waitState(t, g, "current", "refusing")
	if err := os.WriteFile(file, []byte(config("/api/v1/write")), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, http.MethodPost, g.url+"/-/reload", "")
	for name, b := range map[string]*inProcess{"old": old, "current": current} {
		waitState(t, g, name, "ok")
		checkHeld(t, b, 20)
	}
	dropsNothing(t, g, "old", "current", "fine")
}

// TestKillInEachState kills the gateway while its destination is in each state, and
// everything arrives, once and in order.
func TestKillInEachState(t *testing.T) {
	for _, row := range []struct {
		state  string
		status int
	}{{"refusing", http.StatusForbidden}, {"failing", http.StatusBadGateway}, {"never_tried", 0}, {"ok", 0}} {
		t.Run(row.state, func(t *testing.T) {
			var d *door
			b := newInProcess(t, bothProtocols, func(h http.Handler) http.Handler {
				d = newDoor(h, row.status)
				d.open.Store(row.status == 0)
				return d
			})
			storage := t.TempDir()
			config := writeConfig(t, fmt.Sprintf("remote_write: [{name: it, url: %q}]", b.writeURL()))
			g := startPushbridgeIn(t, storage, "--config.file="+config, "--refresh.interval=0")
			pushes := 20
			if row.state == "never_tried" {
				pushes = 0
			}
			pushHeld(t, g, 0, pushes)
			waitState(t, g, "it", row.state)
			g.kill()
			g = startPushbridgeIn(t, storage, "--config.file="+config, "--refresh.interval=0")
			pushHeld(t, g, pushes, 40)
			d.open.Store(true)
			checkHeld(t, b, 40)
			waitState(t, g, "it", "ok")
			dropsNothing(t, g, "it")
		})
	}
}

// checkHeld waits until a receiver has the values 0 to n-1, in this order.
func checkHeld(t *testing.T, b *inProcess, n int) {
	t.Helper()
	eventually(t, "everything is there", func() error {
		for _, samples := range b.samples(t, named("held_value")) {
			samples = slices.CompactFunc(samples, func(a, b sample) bool { return a.Value == b.Value })
			for i, s := range samples {
				if s.Value != float64(i) {
					return fmt.Errorf("%v at place %d", s.Value, i)
				}
			}
			if len(samples) != n {
				return fmt.Errorf("%d values", len(samples))
			}
			return nil
		}
		return fmt.Errorf("no series")
	})
}
