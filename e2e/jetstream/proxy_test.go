package jetstream_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
)

// proxy passes connections on to an address. It can be cut, as a cable is, and it can hold
// what goes to the other side.
type proxy struct {
	t    *testing.T
	to   string
	l    net.Listener
	mu   sync.Mutex
	cond *sync.Cond
	cut  bool
	held bool
	swap [2]string // what is exchanged for what in what goes to the other side: of one length
	open map[net.Conn]bool
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, to: to, l: l, open: map[net.Conn]bool{}}
	p.cond = sync.NewCond(&p.mu)
	go p.serve()
	t.Cleanup(func() { _ = l.Close(); p.set(true, false) })
	return p
}

func (p *proxy) address() string { return p.l.Addr().String() }

func (p *proxy) serve() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.to)
		if err != nil || !p.keep(in, out) {
			_ = in.Close()
			if out != nil {
				_ = out.Close()
			}
			continue
		}
		go p.pass(out, in, true)
		go p.pass(in, out, false)
	}
}

// keep remembers a connection, unless the cable is cut.
func (p *proxy) keep(all ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range all {
		p.open[c] = true
	}
	return !p.cut
}

// pass copies from one side to the other; what is held waits before it goes on.
func (p *proxy) pass(to, from net.Conn, holds bool) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if holds {
			p.mu.Lock()
			for p.held && !p.cut {
				p.cond.Wait()
			}
			if s := p.swap; s[0] != "" {
				copy(b, bytes.ReplaceAll(b[:n], []byte(s[0]), []byte(s[1])))
			}
			p.mu.Unlock()
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	if half, ok := to.(*net.TCPConn); ok && holds {
		_ = half.CloseWrite() // what was held has arrived; the answer may come
		return
	}
	_, _ = to.Close(), from.Close()
}

// exchange says what goes through it as something else.
func (p *proxy) exchange(swap [2]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swap = swap
}

// set cuts the cable or mends it, and holds what goes through it or lets it go on.
func (p *proxy) set(cut, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.held = cut, held
	p.cond.Broadcast()
	if !cut {
		return
	}
	for c := range p.open {
		_ = c.Close()
	}
	clear(p.open)
}
