package jetstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// prometheus is a real one, which takes remote writes and refuses what is out of order.
type prometheus struct {
	t        *testing.T
	url, log string
}

func newPrometheus(t *testing.T) *prometheus {
	t.Helper()
	dir := t.TempDir()
	p := &prometheus{t: t, url: fmt.Sprintf("http://127.0.0.1:%d", ports(t, 1)[0]), log: filepath.Join(dir, "log")}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.CommandContext(context.Background(), "prometheus", "--config.file="+write(t, filepath.Join(dir, "prometheus.yml"), nil),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+strings.TrimPrefix(p.url, "http://"), "--web.enable-remote-write-receiver")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "Prometheus is ready", func() bool { status, _ := get(p.url + "/-/ready"); return status == http.StatusOK })
	return p
}

// query returns the values of an instant query.
func (p *prometheus) query(q string) (values []string) {
	p.t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	status, body := get(p.url + "/api/v1/query?query=" + url.QueryEscape(q))
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		p.t.Fatalf("query %s: %d %s", q, status, body)
	}
	for _, r := range answer.Data.Result {
		values = append(values, fmt.Sprint(r.Value[1]))
	}
	return values
}

// gap returns the longest time between two samples of a series of the latest minutes, behind
// the second one, how many there are, and when the newest is of.
func (p *prometheus) gap(series string) (longest time.Duration, samples int, newest time.Time) {
	p.t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Values [][2]any }
		}
	}
	_, body := get(p.url + "/api/v1/query?query=" + url.QueryEscape(series+"[10m]"))
	if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Data.Result) != 1 {
		p.t.Fatalf("query %s: %v %s", series, err, body)
	}
	for i, v := range answer.Data.Result[0].Values {
		at := time.UnixMilli(int64(v[0].(float64) * 1000))
		if i > 1 {
			longest = max(longest, at.Sub(newest))
		}
		newest = at
	}
	return longest, len(answer.Data.Result[0].Values), newest
}

// TestPrometheus: what a real Prometheus has over a take-over. A group that is not pushed is sent
// again within the refresh interval, also when the one that leads is killed right before its turn;
// nothing comes out of order, and a DELETE is seen at once.
func TestPrometheus(t *testing.T) {
	const interval, pace = 10 * time.Second, 100 * time.Millisecond
	const round = interval - 5*time.Second // less what a take-over may take
	c, p := newCluster(t), newPrometheus(t)
	r := &replicas{cluster: c}
	for _, id := range []string{"a", "b", "c"} {
		g := c.newGateway(id, "--replica.id="+id, "--storage.nats-stream=gateway", "--refresh.interval="+interval.String(),
			"--remote-write.url="+p.url+"/api/v1/write")
		for _, u := range c.urls() {
			g.args = append(g.args, "--storage.nats-url="+u)
		}
		g.start()
		r.all = append(r.all, g)
	}
	leader := r.leader()
	leader.pushID("quiet") // once: only the refresh keeps it
	leader.pushID("gone")
	// Never two pushes of a series in one request: Prometheus takes the repeat of what was on its
	// way at the kill, but not of a sample behind which it has a newer one, which stays in doubt.
	l := startLoad(t, 4, func(pusher, turn int) string {
		time.Sleep(pace)
		return r.anyone(pusher, turn)
	})
	l.flow(50)
	for _, stop := range []func(*gateway){(*gateway).kill, (*gateway).stop, (*gateway).kill} {
		g := r.leader()
		before := 0
		eventually(t, "the turn of the group is about to come", func() bool {
			_, n, newest := p.gapOf("quiet")
			since := time.Since(newest)
			before = n
			return n > 2 && since > round-round/10 && since < round
		})
		stop(g)
		l.flow(50)
		eventually(t, "the next one refreshes", func() bool { _, n, _ := p.gapOf("quiet"); return n >= before+2 })
		g.start()
	}
	l.stop()
	longest, n, _ := p.gapOf("quiet")
	t.Logf("%d samples of a group that was pushed once, at most %v apart", n, longest)
	if longest > interval {
		t.Errorf("%v without a sample, the refresh interval is %v", longest, interval)
	}
	if got := p.query(`pushed{job="gone"}`); len(got) != 1 {
		t.Errorf("before the DELETE: %v", got)
	}
	answer, err := do(http.MethodDelete, r.leader().url+"/metrics/job/gone", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _ = answer.Body.Close(); answer.StatusCode != http.StatusAccepted {
		t.Fatalf("DELETE: %v", answer.Status)
	}
	eventually(t, "what was deleted is stale", func() bool { return len(p.query(`pushed{job="gone"}`)) == 0 })
	if got := p.query(`pushed{job="quiet"}`); len(got) != 1 {
		t.Errorf("what was not deleted: %v", got)
	}
	r.arrivedAt(p, l)
}

func (p *prometheus) gapOf(job string) (longest time.Duration, samples int, newest time.Time) {
	return p.gap(fmt.Sprintf("pushed{job=%q}", job))
}

// arrivedAt holds Prometheus to the last value of each pusher, and to having refused nothing.
func (r *replicas) arrivedAt(p *prometheus, l *load) {
	r.t.Helper()
	leader := r.leader()
	for i := range l.acked {
		eventually(r.t, fmt.Sprintf("Prometheus has the last value of pusher %d", i), func() bool {
			got := p.query(fmt.Sprintf("pushed{pusher=\"p%d\"}", i))
			if len(got) != 1 {
				return false
			}
			v, _ := strconv.ParseInt(got[0], 10, 64)
			return v >= l.acked[i].Load() && v <= l.tried[i].Load()
		})
	}
	for _, d := range leader.destinations() {
		dropped := uint64(0)
		for _, n := range d.Books.Dropped {
			dropped += n
		}
		if dropped+d.Books.InDoubt != 0 {
			r.t.Errorf("%s refused something: %+v", d.Name, d.Books)
		}
	}
	if b, err := os.ReadFile(p.log); err != nil || strings.Contains(string(b), "out of order") || strings.Contains(string(b), "Out of order") {
		r.t.Errorf("Prometheus says, %v:\n%s", err, tailOf(string(b), 10))
	}
}
