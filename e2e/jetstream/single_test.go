package jetstream_test

import (
	"syscall"
	"testing"
	"time"
)

// TestOneGateway: a gateway alone on a stream keeps what it acknowledged, whatever is
// killed, and its destination gets it in order.
func TestOneGateway(t *testing.T) {
	c, r := newCluster(t), newReceiver(t)
	g := c.gateway("a", r.write())
	eventually(t, "ready", g.ready)
	l := startLoad(t, 8, func(int, int) string { return g.url })
	l.flow(100)
	for _, fault := range []struct {
		name string
		do   func()
	}{
		{"kill -9 of the gateway", func() { g.kill(); g.start() }},
		{"a proper stop", func() { g.stop(); g.start() }},
		{"kill -9 of the server that leads", func() {
			s := c.leading()
			s.kill()
			time.Sleep(time.Second)
			s.start()
		}},
		{"SIGTERM of the server that leads", func() { s := c.leading(); s.term(); s.start() }},
		{"a server that stands still", func() {
			s := c.leading()
			s.signal(syscall.SIGSTOP, false)
			time.Sleep(3 * time.Second)
			s.signal(syscall.SIGCONT, false)
		}},
		{"kill -9 of everything", func() {
			g.kill()
			for _, s := range c.servers {
				s.kill()
			}
			for _, s := range c.servers {
				s.start()
			}
			c.settled()
			g.start()
		}},
	} {
		began := time.Now()
		fault.do()
		l.flow(100)
		l.kept(g)
		t.Logf("%s: %v without an answer, %d pushes so far, %d failed", fault.name, l.silence(began).Round(time.Millisecond), l.pushes.Load(), l.failed.Load())
	}
	l.stop()
	l.kept(g)
	arrived(t, g, r)
}
