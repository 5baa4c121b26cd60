package jetstream_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// serverBinary builds nats-server, as go.mod names it, once.
var serverBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pushbridge-nats-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "nats-server")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", path, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build nats-server: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := serverBinary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// cluster is three servers.
type cluster struct {
	t       testing.TB
	servers []*natsServer
	access  access
}

// access is how servers let clients in; the zero value: all of them.
type access struct {
	config string        // of each server
	client []nats.Option // of this test
}

// natsServer is one, which can be stopped and started again.
type natsServer struct {
	t      testing.TB
	config string
	url    string
	log    string
	cmd    *exec.Cmd
}

// ports returns n free ones.
func ports(t testing.TB, n int) []int {
	t.Helper()
	var all []int
	for range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all = append(all, l.Addr().(*net.TCPAddr).Port)
	}
	return all
}

// size is how many servers a cluster has.
const size = 3

// newCluster starts servers that write each message to disk before they answer.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	return newClusterWith(t, access{})
}

func newClusterWith(t testing.TB, a access) *cluster {
	t.Helper()
	c := &cluster{t: t, access: a}
	dir := t.TempDir()
	p := ports(t, 2*size)
	var routes []string
	for i := range size {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p[size+i]))
	}
	for i := range size {
		s := &natsServer{
			t: t, config: filepath.Join(dir, fmt.Sprintf("server%d.conf", i)), log: filepath.Join(dir, fmt.Sprintf("server%d.log", i)),
			url: fmt.Sprintf("nats://127.0.0.1:%d", p[i]),
		}
		text := fmt.Sprintf("server_name: s%d\nlisten: 127.0.0.1:%d\nlog_file: %q\njetstream { store_dir: %q, sync_interval: always }\n%s",
			i, p[i], s.log, filepath.Join(dir, fmt.Sprintf("store%d", i)), a.config)
		text += fmt.Sprintf("cluster { name: test, listen: \"127.0.0.1:%d\", no_advertise: true, routes: [%s] }\n", p[size+i], strings.Join(routes, ", "))
		if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.servers = append(c.servers, s)
		s.start()
	}
	t.Cleanup(func() {
		for _, s := range c.servers {
			s.kill()
			if b, err := os.ReadFile(s.log); err == nil && t.Failed() {
				t.Logf("%s: %s", filepath.Base(s.log), tailOf(string(b), 30))
			}
		}
	})
	c.settled()
	return c
}

func tailOf(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (c *cluster) urls() []string {
	var all []string
	for _, s := range c.servers {
		all = append(all, s.url)
	}
	return all
}

// settled waits until JetStream answers.
func (c *cluster) settled() {
	c.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		err := c.do(func(js jetstream.JetStream) error {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			_, err := js.AccountInfo(ctx)
			return err
		})
		if err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Fatal("JetStream does not answer")
}

// do calls f with a connection.
func (c *cluster) do(f func(jetstream.JetStream) error) error {
	nc, err := nats.Connect(strings.Join(c.urls(), ","), append(c.access.client, nats.Timeout(2*time.Second))...)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return f(js)
}

// leading returns the server that leads the stream of the gateways.
func (c *cluster) leading() *natsServer {
	c.t.Helper()
	for range 200 {
		name := ""
		_ = c.do(func(js jetstream.JetStream) error {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			st, err := js.Stream(ctx, "gateway")
			if err == nil && st.CachedInfo().Cluster != nil {
				name = st.CachedInfo().Cluster.Leader
			}
			return err
		})
		for i, s := range c.servers {
			if name == fmt.Sprintf("s%d", i) {
				return s
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Fatal("the stream has no leader")
	return nil
}

func (s *natsServer) start() {
	s.t.Helper()
	path, err := serverBinary()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.CommandContext(context.Background(), path, "-c", s.config)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// kill ends the server as a crash does.
func (s *natsServer) kill() { s.signal(syscall.SIGKILL, true) }

// term ends it properly.
func (s *natsServer) term() { s.signal(syscall.SIGTERM, true) }

func (s *natsServer) signal(sig os.Signal, ends bool) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig) // it may have ended
	if ends {
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}
