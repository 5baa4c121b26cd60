package remotewrite

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
)

var ledgerSeeds = flag.Int("ledger.seeds", 12, "random histories in TestLedgerOverManyLives")

// moody is a receiver that takes the samples of some jobs only, so that the shards
// of a destination get far apart.
type moody struct {
	receiver
	mood sync.Mutex
	down map[string]bool // by job
}

func newMoody() *moody {
	m := &moody{}
	m.answer = func(q *request, _ int) reply {
		m.mood.Lock()
		defer m.mood.Unlock()
		for job := range m.down {
			if slices.ContainsFunc(q.samples, func(s sample) bool { return strings.Contains(s.series, "job="+job+"}") }) {
				return reply{err: errors.New("down")}
			}
		}
		return reply{}
	}
	return m
}

func (m *moody) refuse(jobs ...string) {
	m.mood.Lock()
	defer m.mood.Unlock()
	m.down = map[string]bool{}
	for _, job := range jobs {
		m.down[job] = true
	}
}

// boundedLife is a life over a log of which a destination that lags loses the
// oldest part.
func boundedLife(t *testing.T, dir string, r *moody) *life {
	t.Helper()
	c := configFor(t, "http://receiver/")
	c.ProtobufMessage, c.Metadata.Send, c.Queue.Capacity = Message1, false, 10
	l := &life{dir: dir, rig: newRig(t, rigOptions{dir: dir, queue: queue.Options{RingBytes: 1 << 12}, disk: disk.Options{
		Fsync: disk.Off, MinFreeBytes: -1, MaxBytes: 32 << 10,
	}})}
	l.d = l.destination(c, Options{Transport: r})
	l.start()
	l.stop = running(t, l.d)
	if l.d.debt.first.Load() {
		settled(t, l.d) // what is pushed from here on is no first state
	}
	return l
}

// push makes n pushes of three samples, to one of jobs each.
func (l *life) push(t *testing.T, n int, jobs ...string) {
	t.Helper()
	for i := range n {
		job := jobs[rand.IntN(len(jobs))]
		l.put(fmt.Sprintf("a{x=\"%d%s\"} %d", i, randomText(300), i), "job", job)
		if i%20 == 19 {
			if err := l.Snapshot(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second) // the log keeps house
		}
	}
}

// die ends the life as kill -9 does while nothing gets through, so that nobody is
// in doubt about what has arrived. It returns the directory.
func (l *life) die(t *testing.T, r *moody) string {
	t.Helper()
	r.refuse(ledgerJobs...)
	time.Sleep(time.Minute)
	synctest.Wait()
	return l.killed(t)
}

// ledger waits until everything is settled and returns the books of all lives.
func (l *life) ledger(t *testing.T) Books {
	t.Helper()
	settled(t, l.d)
	var b Books
	await(t, "the cursor knows everything", func() bool {
		ledger, _ := l.d.cursor.Ledger()
		b = BooksOf(&ledger, l.log.Samples())
		return b.Pending == 0
	})
	checkBooks(t, b)
	return b
}

var ledgerJobs = []string{"a", "b", "c", "d", "e", "f"}

// A shard is stuck while others go on, the bound takes what it waits for, and the
// process is killed, at other places in each row: what is lost is counted once,
// and nothing else is.
func TestLedgerOfLostSamples(t *testing.T) {
	for _, row := range []struct {
		name  string
		lives []func(t *testing.T, l *life, r *moody)
	}{
		{"lost before a kill, and after it", []func(*testing.T, *life, *moody){
			func(t *testing.T, l *life, r *moody) { r.refuse("a"); l.push(t, 200, ledgerJobs...) },
			func(t *testing.T, l *life, r *moody) { r.refuse("a"); l.push(t, 200, ledgerJobs...) },
		}},
		{"others were settled behind the loss", []func(*testing.T, *life, *moody){
			func(t *testing.T, l *life, r *moody) { r.refuse("a"); l.push(t, 20, ledgerJobs...) },
			func(t *testing.T, l *life, r *moody) { r.refuse(ledgerJobs...); l.push(t, 200, "a") },
			func(t *testing.T, l *life, r *moody) { r.refuse("a"); l.push(t, 60, ledgerJobs...) },
		}},
		{"told of in each life, and settled in none", []func(*testing.T, *life, *moody){
			func(t *testing.T, l *life, r *moody) { r.refuse(ledgerJobs...); l.push(t, 200, ledgerJobs...) },
			func(*testing.T, *life, *moody) {},
			func(t *testing.T, l *life, r *moody) { r.refuse(ledgerJobs...); l.push(t, 100, ledgerJobs...) },
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a")
			synctest.Test(t, func(t *testing.T) {
				r := newMoody()
				pushed := uint64(0)
				for _, live := range row.lives {
					l := boundedLife(t, dir, r)
					live(t, l, r)
					pushed += l.pushed.Load()
					dir = l.die(t, r)
				}
				checkLedger(t, dir, r, pushed)
			})
		})
	}
}

// checkLedger holds the books of all lives to what was pushed and what arrived.
func checkLedger(t *testing.T, dir string, r *moody, pushed uint64) {
	t.Helper()
	l := boundedLife(t, dir, r)
	r.refuse()
	got := l.ledger(t)
	arrived := uint64(len(r.stored))
	want := Books{Accepted: pushed, Delivered: arrived, Dropped: map[string]uint64{"disk_bound": pushed - arrived}}
	if arrived == pushed {
		want.Dropped = map[string]uint64{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("books of all lives (-from pushes and arrivals +got):\n%s", diff)
	}
	noProblems(t, &r.receiver)
	l.end()
}

// Random histories: the books of all lives are exact whatever fails and whenever
// the process is killed.
func TestLedgerOverManyLives(t *testing.T) {
	lost := uint64(0)
	for seed := range uint64(*ledgerSeeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a")
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				r := newMoody()
				pushed := uint64(0)
				for range 2 + rng.IntN(4) {
					l := boundedLife(t, dir, r)
					for range 1 + rng.IntN(4) {
						jobs := slices.Clone(ledgerJobs)
						rng.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
						r.refuse(jobs[:rng.IntN(len(jobs)+1)]...)
						l.push(t, rng.IntN(80), jobs[rng.IntN(len(jobs)):]...)
					}
					pushed += l.pushed.Load()
					if rng.IntN(4) == 0 {
						l.end()
					} else {
						dir = l.die(t, r)
					}
				}
				checkLedger(t, dir, r, pushed)
				lost += pushed - uint64(len(r.stored))
			})
		})
	}
	if lost == 0 {
		t.Error("nothing was lost in any history, and nothing is shown")
	}
}

// The places of the books in a cursor are on disk, and docs/queue-format.md has
// them.
func TestPlacesStayWhereTheyAre(t *testing.T) {
	b := BooksOf(&queue.Ledger{Settled: outcome{0: 1, 1: 2, 2: 3, 23: 4}}, 100)
	want := Books{Accepted: 100, Delivered: 1, InDoubt: 2, Dropped: map[string]uint64{"dropped_series": 3, "server_error": 4}, Pending: 90}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Error(diff)
	}
	names := []string{
		"dropped_series", "too_old", "clock_ahead", "duplicate_identity", "duplicate_series", "native_not_sent",
		"classic_not_sent", "nhcb_in_rw1_not_supported", "marker_not_needed", "no_metric_name", "invalid_label",
		"refused", "rejected", "rate_limited", "redirected", "not_understood", "not_written", "bad_answer",
		"disk_bound", "damaged", "missing", "server_error",
	}
	if diff := cmp.Diff(names, reasonNames[placeDropped:]); diff != "" {
		t.Errorf("reasons (-on disk +now):\n%s", diff)
	}
}
