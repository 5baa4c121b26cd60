package jetstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// embedded starts a gateway whose log is in a directory.
func (c *cluster) embedded(dir string, urls ...string) *gateway {
	c.t.Helper()
	g := c.newGateway("embedded", "--storage.path="+dir)
	for _, u := range urls {
		g.args = append(g.args, "--remote-write.url="+u)
	}
	g.start()
	eventually(c.t, "the embedded gateway is ready", g.ready)
	return g
}

// migration is pushbridge migrate between a directory and the stream of the gateways.
func (c *cluster) migration(to, dir string) *exec.Cmd {
	args := []string{"migrate", "--to=" + to, "--storage.path=" + dir, "--storage.nats-stream=gateway"}
	for _, u := range c.urls() {
		args = append(args, "--storage.nats-url="+u)
	}
	return exec.CommandContext(context.Background(), binary(c.t), args...)
}

// migrate runs it to its end.
func (c *cluster) migrate(to, dir string) {
	c.t.Helper()
	out, err := c.migration(to, dir).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "compared: state, positions, books and records are the same on both sides") {
		c.t.Fatalf("migrate to %s: %v\n%s", to, err, out)
	}
}

// refused holds the gateway to not starting, and to why.
func (g *gateway) refused(why string) {
	g.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	out, err := exec.CommandContext(ctx, binary(g.t), g.args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), why) {
		g.t.Errorf("gateway %s ends with %v, want %q:\n%s", g.id, err, why, out)
	}
}

var facts = regexp.MustCompile(`(?m)^(pushed|push_time_seconds|push_failure_time_seconds|pushbridge_queue_head_sequence)[ {].*$`)

// facts returns what a move must not change, in order: the state, and the books of
// destinations since they began.
func (g *gateway) facts() []string {
	_, body := get(g.url + "/metrics")
	all := facts.FindAllString(body, -1)
	for _, d := range g.destinations() {
		all = append(all, fmt.Sprintf("%s %+v", d.Name, d.Books))
	}
	slices.Sort(all)
	return all
}

// books are those of a destination.
type books struct {
	Name  string
	Books struct {
		Accepted, Delivered, Pending uint64
		InDoubt                      uint64 `json:"in_doubt"`
		Dropped                      map[string]uint64
	}
}

func (g *gateway) destinations() []books {
	var answer struct{ Data []books }
	_, body := get(g.url + "/api/v1/destinations")
	_ = json.Unmarshal([]byte(body), &answer) // none while it is not up
	return answer.Data
}

// delivered returns the samples that one of the destinations has, and the other has not.
func (g *gateway) delivered() (n uint64) {
	for _, d := range g.destinations() {
		n += d.Books.Delivered
	}
	return n
}

func (g *gateway) same(want []string) {
	g.t.Helper()
	got := g.facts()
	for end := time.Now().Add(patience / 6); !slices.Equal(got, want) && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		got = g.facts()
	}
	if !slices.Equal(got, want) {
		g.t.Errorf("gateway %s shows\n%s\nand what was moved is\n%s", g.id, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// pushID pushes and returns how the push is called.
func (g *gateway) pushID(job string) string {
	g.t.Helper()
	r, err := do(http.MethodPost, g.url+"/metrics/job/"+job, strings.NewReader("# TYPE pushed gauge\npushed 1\n"))
	if err != nil || r.StatusCode != http.StatusOK {
		g.t.Fatalf("push: %v, %v", r, err)
	}
	_ = r.Body.Close()
	return r.Header.Get("X-Pushbridge-Push-Id")
}

// pause pauses a destination, by its place, or resumes it.
func (g *gateway) pause(i int, what string) {
	g.t.Helper()
	name := g.accounts()[i].Name
	if status, _, text := request(g.t, http.MethodPost, g.url+"/api/v1/destinations/"+url.PathEscape(name)+"/"+what, ""); status != http.StatusOK {
		g.t.Fatalf("%s: %d %s", what, status, text)
	}
}

// paused holds the destinations to being paused or not.
func (g *gateway) paused(want ...bool) {
	g.t.Helper()
	var got []bool
	for _, a := range g.accounts() {
		got = append(got, a.Paused)
	}
	if !slices.Equal(got, want) {
		g.t.Errorf("gateway %s has paused %v, want %v", g.id, got, want)
	}
}

// TestMigrate moves a directory with a backlog, and a destination that is paused, to a stream, and back, while the migration
// is killed again and again.
func TestMigrate(t *testing.T) {
	c, r := newCluster(t), newReceiver(t)
	dir, back := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "back")
	nowhere := fmt.Sprintf("http://127.0.0.1:%d/api/v1/write", ports(t, 1)[0])
	g := c.embedded(dir, r.write(), nowhere)
	id := ""
	for i := range 50 {
		id = g.pushID(fmt.Sprintf("job%d", i))
	}
	eventually(t, "one destination has everything", func() bool { return g.delivered() == 150 })
	g.pause(1, "pause")
	want := g.facts()
	g.kill()

	if !c.killedMigrations("stream", dir) {
		c.migrate("stream", dir)
	}
	g.refused("its content was moved to stream")
	s := c.gateway("a", r.write(), "--remote-write.url="+nowhere)
	eventually(t, "ready", s.ready)
	s.same(want)
	s.paused(false, true)
	if status, body := get(s.url + "/api/v1/pushes/" + id); status != http.StatusOK {
		t.Errorf("the stream does not know push %s: %d %s", id, status, body)
	}
	next := s.pushID("job0")
	if store, _, _ := strings.Cut(id, "-"); !strings.HasPrefix(next, store) {
		t.Errorf("push %s, and then %s: another store", id, next)
	}
	eventually(t, "one destination has that too", func() bool { return s.delivered() == 153 })
	want = s.facts()
	s.pause(0, "pause")
	s.pause(1, "resume")
	if out, err := c.migration("directory", back).CombinedOutput(); err == nil || !strings.Contains(string(out), `is in use: stop all replicas first: replica "a" leads`) {
		t.Errorf("a stream in use is moved from: %v\n%s", err, out)
	}
	s.stop()

	if !c.killedMigrations("directory", back) {
		c.migrate("directory", back)
	}
	s.refused("its content was moved to " + back)
	g = c.embedded(back, r.write(), nowhere)
	g.same(want)
	g.paused(true, false)
	if s := r.stats(t); s.Violations != 0 || s.Samples != 153 {
		t.Errorf("the receiver counted %+v", s)
	}
}

// killedMigrations begins to move some times, and kills it. In between nothing opens what
// is unfinished. It returns whether one was faster than that.
func (c *cluster) killedMigrations(to, dir string) (done bool) {
	c.t.Helper()
	killed := 0
	defer func() { c.t.Logf("killed %d times on the way to the %s", killed, to) }()
	for i := range 4 {
		m := c.migration(to, dir)
		if err := m.Start(); err != nil {
			c.t.Fatal(err)
		}
		at := time.AfterFunc(rand.N(time.Duration(1+i)*30*time.Millisecond), func() { _ = m.Process.Kill() })
		err := m.Wait()
		at.Stop()
		if err == nil {
			return true
		}
		killed++
		if _, err := os.Stat(filepath.Join(dir, "unfinished")); to == "directory" && err == nil {
			c.newGateway("unfinished", "--storage.path="+dir).refused("run the migration again")
		}
	}
	return false
}
