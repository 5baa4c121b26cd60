package remotewrite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
)

// TestOrderUnderFaults pushes, deletes, refreshes, steps the clock, fails requests, loses answers, kills the
// process and changes the number of shards, all at random, in front of a receiver
// that stores all or nothing and knows what it was sent before. What must hold is
// promise P2, that no acknowledged push is missing, and that the books balance.
func TestOrderUnderFaults(t *testing.T) {
	for seed := range uint64(10) {
		for _, m := range []ProtobufMessage{Message1, Message2, Negotiate} {
			t.Run(fmt.Sprintf("seed=%d/%s", seed, m), func(t *testing.T) {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) { underFaults(t, dir, seed, m) })
			})
		}
	}
}

// faults is a receiver behind a bad network.
type faults struct {
	receiver
	rnd  *rand.Rand
	mu   sync.Mutex
	off  bool // the process is dead: nothing it sends leaves
	calm bool
}

func (f *faults) decide(*request, int) reply {
	p, slow := f.throw()
	if slow > 0 {
		time.Sleep(slow)
		if f.dead() {
			return reply{err: errors.New("network is unreachable")}
		}
	}
	return p
}

// throw throws the dice.
func (f *faults) throw() (p reply, slow time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dice := f.rnd.IntN(100)
	switch {
	case f.off:
		p.err = errors.New("network is unreachable")
	case f.calm:
	case dice < 15:
		p.status = 503
	case dice < 17:
		p = reply{status: 429, header: map[string]string{"Retry-After": "2"}}
	case dice < 32:
		p.lost = true
	case dice < 40:
		slow = time.Duration(f.rnd.IntN(200)) * time.Millisecond
	}
	return p, slow
}

func (f *faults) dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.off
}

func (f *faults) set(off, calm bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off, f.calm = off, calm
}

func underFaults(t *testing.T, dir string, seed uint64, m ProtobufMessage) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	r := &faults{rnd: rand.New(rand.NewPCG(seed, 8))}
	r.answer = r.decide
	var clock atomic.Int64 // off by so many ms
	now := func() time.Time { return time.Now().Add(time.Duration(clock.Load()) * time.Millisecond) }
	var acknowledged []string
	maxSamples := []int{2000, 20}[rnd.IntN(2)]
	const lives = 6
	for life := range lives {
		c := configFor(t, "http://receiver/")
		c.ProtobufMessage = m
		c.Queue.MaxShards = []int{4, 4, 1, 3}[rnd.IntN(4)]
		c.Queue.MaxSamplesPerSend = maxSamples
		c.Queue.Capacity = []int{10000, 50}[rnd.IntN(2)]
		g := newRig(t, rigOptions{dir: filepath.Join(dir, fmt.Sprint(life)), now: now, disk: disk.Options{Fsync: disk.Off, MaxBytes: -1, MinFreeBytes: -1}, queue: queue.Options{RingBytes: 1 << 14}})
		d := g.destination(c, Options{Transport: &r.receiver})
		g.start()
		stop := running(t, d)
		r.set(false, false)
		for i := range 20 + rnd.IntN(60) {
			acknowledged = append(acknowledged, randomPush(g, rnd, &clock, fmt.Sprint(life, i))...)
			if rnd.IntN(4) == 0 {
				time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
			}
		}
		if life == lives-1 {
			r.set(false, true)
			settled(t, d)
		}
		snapshot := d.ledger.run()
		checkBooks(t, snapshot)
		if snapshot.Dropped["refused"] > 0 {
			t.Errorf("life %d: refused outside the careful part: %+v", life, snapshot)
		}
		r.set(true, false)
		kill(t, filepath.Join(dir, fmt.Sprint(life)), filepath.Join(dir, fmt.Sprint(life+1)))
		stop()
		g.stop()
	}
	noProblems(t, &r.receiver)
	got := strings.Join(r.got(), "\n") + "\n"
	for _, line := range acknowledged {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("acknowledged and not stored: %s", line)
		}
	}
}

// randomPush changes a group and returns what must be stored for it.
func randomPush(g *rig, rnd *rand.Rand, clock *atomic.Int64, tag string) []string {
	job, instance := fmt.Sprint("j", rnd.IntN(6)), fmt.Sprint("i", rnd.IntN(3))
	value := fmt.Sprintf("%d%d", rnd.IntN(1000)+1, len(tag))
	switch rnd.IntN(12) {
	case 10:
		g.refresh()
		return nil
	case 11:
		clock.Store(int64(rnd.IntN(10_000)) - 5000)
		return nil
	case 0:
		g.delete("job", job, "instance", instance)
		return nil
	case 1, 2:
		g.post("b "+value, "job", job, "instance", instance)
		return []string{fmt.Sprintf("b{instance=%s,job=%s} %s", instance, job, value)}
	case 3:
		var text strings.Builder
		for i := range 40 {
			fmt.Fprintf(&text, "a{x=\"%d\"} %s\n", i, value)
		}
		g.put(text.String(), "job", job, "instance", instance)
		return []string{
			fmt.Sprintf("a{instance=%s,job=%s,x=0} %s", instance, job, value),
			fmt.Sprintf("a{instance=%s,job=%s,x=39} %s", instance, job, value),
		}
	}
	g.put("a{x=\"1\"} "+value+"\nc 1", "job", job, "instance", instance)
	return []string{fmt.Sprintf("a{instance=%s,job=%s,x=1} %s", instance, job, value)}
}

// kill leaves in to what a process that was killed now leaves in from.
func kill(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
