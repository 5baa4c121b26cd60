package main_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/queue/disk"
	"github.com/pushbridge/pushbridge/remotewrite"
)

// TestCrashBounds kills the server with kill -9 again and again while the disk
// bound is in force, its clock jumps, and it has four destinations: a healthy
// one, one that refuses and loses answers, a slow one, and one that is dead until
// the end. It holds the server to promises P1, P2, P4 and P5: the first two get
// everything, nobody gets a sample out of order, and what the other two have lost
// is counted to the sample, over all kills.
func TestCrashBounds(t *testing.T) {
	b := newBounds(t)
	begin := time.Now()
	kills, early := lives(t, b, b.rng, 300*time.Millisecond, *crashTime/4)
	for b.changes() < boundsChanges { // a slow machine needs more lives
		k, e := lives(t, b, b.rng, 300*time.Millisecond, time.Second)
		kills, early = kills+k, early+e
	}
	b.settle(t)
	t.Logf("%d kills (%d before ready) in %v: %d changes in the log, %d samples",
		kills, early, time.Since(begin).Round(time.Millisecond), b.changes(), b.samples())
}

const (
	boundsMaxBytes = 256 << 10
	boundsFillers  = 100 // gauges in a push beside its number
	boundsSamples  = boundsFillers + 3

	// boundsLag is how many changes may follow one that has not arrived where nothing
	// is to be lost: together they are far from the bound, of about 190 changes.
	boundsLag = 64

	// boundsChanges are twice what the bound has room for: who does not keep up loses some.
	boundsChanges = 400

	// boundsPace is how many changes come while the slow destination thinks about two, in
	// each of four shards: it falls behind however fast the machine is.
	boundsPace = 24
)

// bounds is one run: many lives of a server on one storage directory.
type bounds struct {
	binary, dir, clock string
	destinations       []*boundsDestination
	pushers            []*ledger
	rng                *rand.Rand
	made               changes
}

// changes gives every change that is in the log its number.
type changes struct {
	mu    sync.Mutex
	order map[*ledger][]int // the numbers of the changes of each pusher
	n     int
	moved chan struct{} // closed when n grows
}

// more waits until there are that many more changes, or ctx ends.
func (c *changes) more(ctx context.Context, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for until := c.n + n; c.n < until && ctx.Err() == nil; {
		moved := c.moved
		c.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
		}
		c.mu.Lock()
	}
}

func (c *changes) add(p *ledger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	close(c.moved)
	c.moved = make(chan struct{})
	c.order[p] = append(c.order[p], c.n)
}

// behind returns how many changes follow the oldest one that has not arrived.
func (c *changes) behind(r *strictReceiver) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	behind := 0
	for p, order := range c.order {
		if arrived := r.count(p.series); arrived < len(order) {
			behind = max(behind, c.n-order[arrived])
		}
	}
	return behind
}

type boundsDestination struct {
	name     string
	lossless bool     // keeps up, so that it must get everything
	slow     *changes // it answers once there are boundsPace more of these; nil: at once
	most     int      // samples in a request; 0: the default
	receiver *strictReceiver

	// Samples that have arrived although the server does not know: it was killed
	// before it had written down the answer. It sends them again, or counts them as
	// dropped when they are gone by then.
	doubt uint64
}

func newBounds(t *testing.T) *bounds {
	dir := t.TempDir()
	b := &bounds{
		binary: serverBinary(t), dir: dir, clock: filepath.Join(dir, "clock"),
		rng:  rand.New(rand.NewPCG(*crashSeed, 7)),
		made: changes{order: map[*ledger][]int{}, moved: make(chan struct{})},
		destinations: []*boundsDestination{
			{name: "healthy", lossless: true},
			{name: "flaky", lossless: true},
			{name: "slow", most: 2 * boundsSamples},
			{name: "dead"},
		},
	}
	b.destinations[2].slow = &b.made
	config := "remote_write:\n"
	for i, d := range b.destinations {
		d.receiver = newStrictReceiver(*crashSeed+uint64(i), i == 0)
		srv := httptest.NewServer(d)
		t.Cleanup(srv.Close)
		t.Cleanup(srv.CloseClientConnections)
		config += fmt.Sprintf("- {name: %s, url: %q, queue_config: {min_backoff: 5ms, max_backoff: 50ms, max_samples_per_send: %d}}\n",
			d.name, srv.URL, cmp.Or(d.most, remotewrite.DefaultConfig(nil).Queue.MaxSamplesPerSend))
	}
	b.destinations[1].receiver.trouble(0.10, 0.05)
	b.destinations[3].receiver.trouble(1, 0)
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		p := newLedger(*crashSeed, i)
		p.made = b.made.add
		b.pushers = append(b.pushers, p)
	}
	b.begin(t)
	return b
}

// ServeHTTP waits and lets the receiver answer. A request whose sender died
// meanwhile is thrown away: if it were stored behind what the next life sends, the
// order would be the network's and not the sender's.
func (d *boundsDestination) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.slow != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if d.slow.more(r.Context(), boundsPace); r.Context().Err() != nil {
			return
		}
	}
	d.receiver.ServeHTTP(w, r)
}

func (b *bounds) start(t *testing.T) *server {
	t.Helper()
	if err := setClock(b.clock, 0); err != nil {
		t.Fatal(err)
	}
	for _, d := range b.destinations {
		d.receiver.nextLife()
	}
	return startServer(t, b.binary, b.dir,
		"--storage.path=data", "--config.file=config.yml", "--log.level=warn",
		"--test.clock-offset-file="+b.clock, "--refresh.interval=0",
		"--storage.max-bytes="+strconv.Itoa(boundsMaxBytes), "--storage.min-free-bytes=0")
}

// begin starts the server until every destination has its position: one that is
// new gets the state as it is, and what that holds would not count as lost.
func (b *bounds) begin(t *testing.T) {
	s := b.start(t)
	s.ready(t)
	defer s.kill()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		r, err := disk.Inspect(filepath.Join(b.dir, "data"))
		if err == nil && allStarted(r, len(b.destinations)) {
			return
		}
	}
	t.Fatalf("destinations do not begin\n%s", s.tail())
}

func allStarted(r *disk.Report, cursors int) bool {
	for _, c := range r.Cursors {
		for _, p := range c.Shards {
			if p.Acked == 0 {
				return false
			}
		}
	}
	return len(r.Cursors) == cursors
}

func (b *bounds) push(t *testing.T, url string, s *server) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: len(b.pushers)}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	errs := make([]error, len(b.pushers))
	var wg sync.WaitGroup
	for i, p := range b.pushers {
		wg.Go(func() {
			for p.maybe == nil && errs[i] == nil && b.keepUp(s) {
				errs[i] = p.push(t.Context(), client, url)
			}
		})
	}
	stop := stepClock(t, &wg, b.clock, b.rng.Uint64())
	<-s.done
	stop()
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%v\nserver: %s", err, s.tail())
	}
}

// keepUp waits until the destinations that must get everything have nearly all
// of it. It returns false when the server is gone.
func (b *bounds) keepUp(s *server) bool {
	for {
		select {
		case <-s.done:
			return false
		default:
		}
		behind := 0
		for _, d := range b.destinations {
			if d.lossless {
				behind = max(behind, b.made.behind(d.receiver))
			}
		}
		if behind <= boundsLag {
			return true
		}
		time.Sleep(time.Millisecond)
	}
}

// check looks at what a life has left behind, when it has ended: no receiver saw a
// violation of promise P2, and the directory is not clearly larger than it may be.
func (b *bounds) check(t *testing.T, s *server) {
	t.Helper()
	for _, d := range b.destinations {
		d.receiver.mu.Lock()
		v := strings.Join(d.receiver.violations, "\n")
		d.receiver.mu.Unlock()
		if v != "" {
			t.Fatalf("promise P2 broken at %s:\n%s\nserver: %s", d.name, v, s.tail())
		}
	}
	b.noteDoubts(t)
	// The bound is kept once a snapshot has been written: what a life pushes in that
	// time comes on top, and it can be killed just then.
	b.fits(t, 2*boundsMaxBytes)
}

// fits fails the test when segments and snapshots take more than limit.
func (b *bounds) fits(t *testing.T, limit int64) {
	t.Helper()
	if n, list := directoryBytes(t, filepath.Join(b.dir, "data")); n > limit {
		t.Fatalf("segments and snapshots have %d bytes, not at most %d\n%s", n, limit, list)
	}
}

// directoryBytes returns the size of the segments and snapshots in dir, and a
// list of them.
func directoryBytes(t *testing.T, dir string) (n int64, list string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".cursor") {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
			list += fmt.Sprintf("%s %d\n", filepath.Base(path), info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, list
}

// settle starts the server a last time with all receivers well, waits until
// nothing is pending, and compares the books with what was pushed.
func (b *bounds) settle(t *testing.T) {
	for _, d := range b.destinations {
		d.receiver.trouble(0, 0)
		d.slow = nil // nobody sends: the server is down
	}
	s := b.start(t)
	url := s.ready(t)
	b.observe(t, url)
	for deadline := time.Now().Add(time.Minute); b.pending(t, url) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("samples stay pending\nserver: %s", s.tail())
		}
	}
	for _, d := range b.destinations {
		if n := b.lost(d); d.lossless && n > 0 {
			t.Errorf("%s: %d samples were acknowledged and lost", d.name, n)
		}
		b.balance(t, url, d)
	}
	if code := s.stop(t); code != 0 {
		t.Errorf("exit code after an interrupt is %d", code)
	}
	b.check(t, s)
	for _, d := range b.destinations {
		b.ledger(t, d)
	}
	b.fits(t, boundsMaxBytes)
	if t.Failed() {
		t.Logf("server: %s", s.tail())
	}
}

func (b *bounds) pending(t *testing.T, url string) (n uint64) {
	for _, d := range b.destinations {
		n += readBooks(t, url, d.name).pending
	}
	return n
}

// balance holds the server to promise P5.
func (b *bounds) balance(t *testing.T, url string, d *boundsDestination) {
	t.Helper()
	if x := readBooks(t, url, d.name); x.accepted != x.delivered+x.dropped+x.inDoubt+x.pending {
		t.Errorf("%s: the books do not balance: %+v", d.name, x)
	}
}

// ledger holds the books of all lives, which the directory has, to what was pushed
// and what arrived.
func (b *bounds) ledger(t *testing.T, d *boundsDestination) {
	t.Helper()
	got, lost := b.books(t)[d.name], b.lost(d)
	dropped := got.Dropped["disk_bound"]
	delete(got.Dropped, "disk_bound")
	if len(got.Dropped) > 0 || got.Pending > 0 || got.Accepted != b.samples() {
		t.Errorf("%s: of %d samples, the books of all lives are %+v", d.name, b.samples(), got)
	}
	if dropped != lost+d.doubt {
		t.Errorf("%s: %d samples are lost, %d arrived and their answers did not, and %d are counted as lost: %+v",
			d.name, lost, d.doubt, dropped, got)
	}
	if !d.lossless && (lost == 0 || got.Delivered == 0) {
		t.Errorf("%s has lost %d samples and got %d: nothing is shown", d.name, lost, got.Delivered)
	}
	t.Logf("%s: %d samples lost, counted as lost %d; %s", d.name, lost, dropped, d.receiver.summary())
}

// noteDoubts finds out what has arrived that the server does not know of. That
// never exceeds what was on its way when it was killed.
func (b *bounds) noteDoubts(t *testing.T) {
	t.Helper()
	books := b.books(t)
	for _, d := range b.destinations {
		x, arrived := books[d.name], b.samples()-b.lost(d)
		if arrived+uint64(b.unsure())*boundsSamples < x.Delivered+x.InDoubt {
			t.Fatalf("%s: %d samples have arrived, and the books of all lives are %+v", d.name, arrived, x)
		}
		doubt := arrived - min(arrived, x.Delivered+x.InDoubt)
		if most := d.receiver.unanswered(); doubt > d.doubt+most {
			t.Fatalf("%s: %d samples have arrived and are not in the books, %d before this life, in which %d were on their way at most: %+v",
				d.name, doubt, d.doubt, most, x)
		}
		d.doubt = doubt
	}
}

// unsure counts the changes of which nobody knows at the moment whether they were
// taken.
func (b *bounds) unsure() (n int) {
	for _, p := range b.pushers {
		if p.maybe != nil {
			n++
		}
	}
	return n
}

// books reads the books of all lives as `pushbridge queue inspect` shows them.
func (b *bounds) books(t *testing.T) map[string]remotewrite.Books {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), b.binary, "queue", "inspect", "--json", filepath.Join(b.dir, "data"))
	cmd.Stdout, cmd.Stderr = &out, t.Output()
	if err := cmd.Run(); err != nil {
		t.Fatalf("queue inspect: %v\n%s", err, &out)
	}
	var report struct {
		Cursors []struct {
			ID    string            `json:"id"`
			Books remotewrite.Books `json:"books"`
		} `json:"cursors"`
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	all := map[string]remotewrite.Books{}
	for _, c := range report.Cursors {
		all[strings.TrimPrefix(c.ID, "name-")] = c.Books
	}
	return all
}

// receiverBooks are the books of one destination as /metrics shows them.
type receiverBooks struct{ accepted, delivered, dropped, bound, inDoubt, pending uint64 }

func readBooks(t *testing.T, url, destination string) receiverBooks {
	t.Helper()
	var x receiverBooks
	for series, v := range readMetrics(t, url) {
		name, rest, _ := strings.Cut(series, "{")
		if !strings.Contains(rest, `destination="`+destination+`"`) {
			continue
		}
		switch name {
		case "pushbridge_remotewrite_samples_accepted_total":
			x.accepted = uint64(v)
		case "pushbridge_remotewrite_samples_delivered_total":
			x.delivered = uint64(v)
		case "pushbridge_remotewrite_samples_in_doubt_total":
			x.inDoubt = uint64(v)
		case "pushbridge_remotewrite_samples_pending":
			x.pending = uint64(v)
		case "pushbridge_remotewrite_samples_dropped_total":
			x.dropped += uint64(v)
			if strings.Contains(rest, `reason="disk_bound"`) {
				x.bound = uint64(v)
			}
		}
	}
	return x
}

// readMetrics returns the plain values of /metrics by series.
func readMetrics(t *testing.T, url string) map[string]float64 {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	mfs, err := p.TextToMetricFamilies(bytes.NewReader(fetch(t, url+"/metrics")))
	if err != nil {
		t.Fatalf("parse /metrics: %v", err)
	}
	all := map[string]float64{}
	for name, mf := range mfs {
		for _, m := range mf.Metric {
			_, labels := ownerOf(m)
			all[mustSeries(name, labels, nil)] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return all
}

// observe tells each pusher what /metrics shows of its group.
func (b *bounds) observe(t *testing.T, url string) {
	t.Helper()
	shown := readMetrics(t, url)
	for _, p := range b.pushers {
		if err := p.observe(shown[p.series]); err != nil {
			t.Fatalf("promise P1 broken: %v", err)
		}
	}
}

func (b *bounds) changes() (n int) {
	for _, p := range b.pushers {
		n += len(p.log)
	}
	return n
}

func (b *bounds) samples() uint64 { return uint64(b.changes()) * boundsSamples }

// lost counts the samples of those changes that have not arrived. A change
// arrives as a whole or not at all.
func (b *bounds) lost(d *boundsDestination) uint64 {
	n := 0
	for _, p := range b.pushers {
		n += p.missing(d.receiver)
	}
	return uint64(n) * boundsSamples
}

// ledger pushes to one group and knows every change of it that is in the log.
// All changes have the same number of samples.
type ledger struct {
	path, series string
	rng          *rand.Rand
	n            float64 // the last number pushed, each only once
	log          []event // pushes by their number, deletions
	made         func(*ledger)
	now          float64  // the number that the group shows, 0 without a group
	maybe        *float64 // the same after a change that was not answered
}

func newLedger(seed uint64, i int) *ledger {
	job, id := fmt.Sprintf("bounds%d", i%5), strconv.Itoa(i)
	return &ledger{
		path:   "/metrics/job/" + job + "/pusher/" + id,
		series: mustSeries("bounds_number", []string{"job", job, "pusher", id}, nil),
		rng:    rand.New(rand.NewPCG(seed, uint64(i)+1000)),
	}
}

// push makes one change. It returns an error when it was answered anything but
// success; without any answer, maybe is set.
func (p *ledger) push(ctx context.Context, client *http.Client, url string) error {
	method, next, body := http.MethodDelete, 0.0, ""
	if p.now == 0 || p.rng.IntN(10) > 0 {
		p.n++
		method, next, body = http.MethodPut, p.n, p.body()
	}
	p.maybe = &next
	code, err := answerTo(ctx, client, method, url+p.path, body)
	if err != nil {
		return nil //nolint:nilerr // the server is gone, as planned: whether the push was taken is asked later
	}
	if code/100 != 2 {
		return fmt.Errorf("%s %s was answered %d", method, p.path, code)
	}
	p.settle(next)
	return nil
}

func (p *ledger) body() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bounds_number %v\n# TYPE bounds_filler gauge\n", p.n)
	for i := range boundsFillers {
		fmt.Fprintf(&b, "bounds_filler{i=\"%d\"} %v\n", i, p.rng.NormFloat64())
	}
	return b.String()
}

func (p *ledger) settle(next float64) {
	p.log = append(p.log, event{value: next, stale: next == 0})
	p.made(p)
	p.now, p.maybe = next, nil
}

// observe compares what is shown with what may be: the last acknowledged change,
// or one without an answer.
func (p *ledger) observe(shown float64) error {
	switch {
	case p.maybe != nil && shown == *p.maybe:
		p.settle(shown)
	case shown == p.now:
		p.maybe = nil
	default:
		return fmt.Errorf("%s: shown is %v, acknowledged was %v", p.series, shown, p.now)
	}
	return nil
}

// missing counts the changes that have not arrived. Deletions are alike: there
// are as many as markers.
func (p *ledger) missing(r *strictReceiver) int {
	arrived, ends := map[uint64]bool{}, 0
	for _, pt := range r.points(p.series) {
		if pt.stale() {
			ends++
		}
		arrived[pt.bits] = true
	}
	n := -ends
	for _, e := range p.log {
		if e.stale || !arrived[floatBits(e.value)] {
			n++
		}
	}
	return n
}
