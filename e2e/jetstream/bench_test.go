package jetstream_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkReplicas compares three replicas on three servers with a gateway that has its log in a
// directory, in one run: pushes a second in rounds by turns, how late those that follow show a
// push, fsyncs, memory, and how long a replica with a million series takes to start. All of it
// shares the machine, the servers and the pushers too.
func BenchmarkReplicas(b *testing.B) {
	for b.Loop() {
		x := newContest(b)
		for _, pushers := range []int{64, 16, 256} {
			x.rounds(pushers)
		}
		x.fsyncs()
		x.delays()
		x.fill()
		x.memory("after a million series were pushed")
		x.starts()
		x.memory("after a start with them")
	}
}

// contest is what is compared.
type contest struct {
	*testing.B
	*replicas
	embedded *gateway
	path     string // of its directory
}

func newContest(b *testing.B) *contest {
	b.Helper()
	x := &contest{B: b, replicas: newReplicas(b), path: b.TempDir()}
	x.embedded = x.newGateway("embedded", "--storage.path="+x.path, "--remote-write.url="+x.write())
	x.embedded.start()
	for _, g := range append(slices.Clone(x.all), x.embedded) {
		eventually(b, g.id+" is ready", g.ready)
	}
	return x
}

// tell reports a figure, and prints it.
func (x *contest) tell(n float64, unit string) {
	fmt.Fprintf(os.Stderr, "%s: %.4g\n", unit, n) // at once: a log would come at the end
	x.ReportMetric(n, strings.ReplaceAll(unit, " ", "-"))
}

// roundTime is how long a round takes, and roundsEach how many there are of each kind.
const (
	roundTime  = 2 * time.Second
	roundsEach = 5
)

// rounds measures pushes a second by turns, and tells the medians.
func (x *contest) rounds(pushers int) {
	leader := x.leader()
	kinds := []struct {
		name string
		to   func(int) *gateway
	}{
		{"embedded", func(int) *gateway { return x.embedded }},
		{"at the leader", func(int) *gateway { return leader }},
		{"spread", func(i int) *gateway { return x.all[i%len(x.all)] }},
	}
	rates := make([][]float64, len(kinds))
	for range roundsEach {
		for k, kind := range kinds {
			began := time.Now()
			n := x.push(pushers, kind.to, func(int64) bool { return time.Since(began) < roundTime })
			rates[k] = append(rates[k], float64(n)/time.Since(began).Seconds())
		}
	}
	for k, kind := range kinds {
		fmt.Fprintf(os.Stderr, "%d pushers, %s: %.0f\n", pushers, kind.name, rates[k])
		x.tell(median(rates[k]), fmt.Sprintf("pushes/s of %d %s", pushers, kind.name))
		if k > 0 {
			var ratios []float64
			for i := range rates[k] {
				ratios = append(ratios, rates[k][i]/rates[0][i])
			}
			x.tell(median(ratios), fmt.Sprintf("× embedded of %d %s", pushers, kind.name))
		}
	}
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

func quantile(all []time.Duration, q float64) time.Duration {
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))]
}

// push lets so many pushers push, each to one group, while more says so, and returns how many pushes
// were answered 200.
func (x *contest) push(pushers int, to func(pusher int) *gateway, more func(n int64) bool) int64 {
	x.Helper()
	var n atomic.Int64
	var wg sync.WaitGroup
	for i := range pushers {
		wg.Go(func() {
			p, err := newPusher(to(i).url)
			for err == nil && more(n.Load()) {
				if err = p.push(fmt.Sprintf("/metrics/job/bench/pusher/p%d", i), benchBody(20, n.Load())); err == nil {
					n.Add(1)
				}
			}
			if err != nil {
				x.Error(err)
			}
			p.close()
		})
	}
	wg.Wait()
	return n.Load()
}

// benchBody is so many series of some 100 bytes each.
func benchBody(series int, turn int64) string {
	var s strings.Builder
	for i := range series {
		fmt.Fprintf(&s, "bench_job_stage_duration_seconds_%d{stage=\"stage_%d\",region=\"eu-central-1\",shard=\"%d\"} %d.5\n", i%10, i/10, i, turn+int64(i))
	}
	return s.String()
}

// pusher has one connection. It costs less than a client of net/http, since the machine is
// shared with what is measured.
type pusher struct {
	c    net.Conn
	r    *bufio.Reader
	host string
}

func newPusher(base string) (*pusher, error) {
	host := strings.TrimPrefix(base, "http://")
	c, err := new(net.Dialer).DialContext(context.Background(), "tcp", host)
	return &pusher{c: c, r: bufio.NewReader(c), host: host}, err
}

func (p *pusher) close() {
	if p.c != nil {
		_ = p.c.Close()
	}
}

func (p *pusher) push(path, body string) error {
	_, err := fmt.Fprintf(p.c, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", path, p.host, len(body), body)
	if err != nil {
		return err
	}
	a, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", a.Status, text)
	}
	return err
}

// probes is how many pushes are looked for at those that follow.
const probes = 100

// delays measures how long after its answer a push is shown by the others, under load.
func (x *contest) delays() {
	leader, others, stop := x.leader(), x.followers(), make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		x.push(64, func(int) *gateway { return leader }, func(int64) bool {
			select {
			case <-stop:
				return false
			default:
				return true
			}
		})
	})
	var mu sync.Mutex
	var late []time.Duration
	for i := range probes {
		status, _, text := request(x, http.MethodPut, fmt.Sprintf("%s/metrics/job/probe/n/n%d", leader.url, i), "probe 1\n")
		if status != http.StatusOK {
			x.Fatalf("%d %s", status, text)
		}
		answered := time.Now()
		var wg sync.WaitGroup
		for _, g := range others {
			wg.Go(func() {
				seen := g.url + "/api/v1/groups?match[]=" + url.QueryEscape(fmt.Sprintf(`{job="probe",n="n%d"}`, i))
				for give := time.Now().Add(patience); time.Now().Before(give); time.Sleep(time.Millisecond) {
					if _, body := get(seen); strings.Contains(body, `"matching":1`) {
						break
					}
				}
				mu.Lock()
				late = append(late, time.Since(answered))
				mu.Unlock()
			})
		}
		wg.Wait()
	}
	close(stop)
	load.Wait()
	x.tell(float64(quantile(late, 0.5).Microseconds())/1000, "ms delay of followers p50")
	x.tell(float64(quantile(late, 0.99).Microseconds())/1000, "ms delay of followers p99")
}

// fsyncs counts those of each server while 64 push at the one that leads.
func (x *contest) fsyncs() {
	leader := x.leader()
	const calls = "syscalls:sys_enter_fsync,syscalls:sys_enter_fdatasync"
	var counts [size]bytes.Buffer
	var all [size]*exec.Cmd
	for i, s := range x.servers {
		all[i] = exec.CommandContext(context.Background(), "perf", "stat", "-x,", "-e", calls, "-p", strconv.Itoa(s.cmd.Process.Pid))
		all[i].Stderr = &counts[i]
		if err := all[i].Start(); err != nil {
			x.Fatal(err)
		}
	}
	began := time.Now()
	n := x.push(64, func(int) *gateway { return leader }, func(int64) bool { return time.Since(began) < 5*time.Second })
	for i, perf := range all {
		_ = perf.Process.Signal(syscall.SIGINT)
		_ = perf.Wait()
		sum := 0
		for line := range strings.Lines(counts[i].String()) {
			count, _, _ := strings.Cut(line, ",")
			calls, _ := strconv.Atoi(count)
			sum += calls
		}
		if sum == 0 {
			x.Fatalf("perf saw no fsync: %s", &counts[i])
		}
		x.tell(float64(sum)/float64(n), fmt.Sprintf("fsyncs a push at server %d", i))
	}
}

// millionGroups of ten series are a million.
const millionGroups = 100_000

// fill pushes the groups to both.
func (x *contest) fill() {
	for _, to := range []*gateway{x.leader(), x.embedded} {
		var next atomic.Int64
		var wg sync.WaitGroup
		body := benchBody(10, 1)
		for range 64 {
			wg.Go(func() {
				p, err := newPusher(to.url)
				for i := next.Add(1); err == nil && i <= millionGroups; i = next.Add(1) {
					err = p.push(fmt.Sprintf("/metrics/job/idle%d/instance/i%d", i%100, i), body)
				}
				if err != nil {
					x.Error(err)
				}
				p.close()
			})
		}
		wg.Wait()
	}
	head := x.leader().metric("pushbridge_queue_head_sequence ")
	for _, g := range x.all {
		eventually(x, g.id+" has all groups", func() bool { return g.metric("pushbridge_queue_head_sequence ") >= head })
	}
}

// resident returns the memory of a process in MiB.
func resident(x testing.TB, pid int) float64 {
	x.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, ok := strings.Cut(string(b), "VmRSS:")
	if err != nil || !ok {
		x.Fatalf("%v: %s", err, b)
	}
	kb, _ := strconv.Atoi(strings.Fields(rest)[0])
	return float64(kb) / 1024
}

// memory compares replicas with the gateway that has the same groups. Each has nothing to do, and is
// looked at for a while, since memory is given back little by little.
func (x *contest) memory(when string) {
	all := append(slices.Clone(x.all), x.embedded)
	least := map[*gateway]float64{}
	for end := time.Now().Add(memoryTime); time.Now().Before(end); time.Sleep(time.Second) {
		for _, g := range all {
			if m := resident(x, g.cmd.Process.Pid); least[g] == 0 || m < least[g] {
				least[g] = m
			}
		}
	}
	leader := x.leader()
	for _, g := range all {
		who := "a replica that follows"
		switch g {
		case leader:
			who = "the replica that leads"
		case x.embedded:
			who = "embedded"
		}
		x.tell(least[g], "MiB of "+who+" "+when)
	}
}

// memoryTime is longer than it takes until what a burst has left behind is given back.
const memoryTime = 150 * time.Second

// starts measures how long each takes until it is ready, with what it finds, and what memory it has then.
func (x *contest) starts() {
	for range 3 {
		for _, g := range []*gateway{x.followers()[0], x.embedded} {
			g.stop()
			began := time.Now()
			g.start()
			eventually(x, g.id+" is ready", g.ready)
			what := "follower"
			if g == x.embedded {
				what = "embedded"
			}
			x.tell(time.Since(began).Seconds(), "s until ready with a million series, "+what)
		}
	}
	x.restartAll()
}

// restartAll makes each forget what filling it has left in its memory.
func (x *contest) restartAll() {
	for _, g := range append(slices.Clone(x.all), x.embedded) {
		g.stop()
		g.start()
		eventually(x, g.id+" is ready", g.ready)
	}
}
