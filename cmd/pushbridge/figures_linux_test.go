package main_test

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var figuresSeries = flag.Int("figures.series", 20_000, "how many series TestFigures stores")

const (
	figuresPerPush   = 100
	figuresPushers   = 16
	figuresHeap      = 200             // bytes of heap per stored series, at most
	figuresStart     = 3 * time.Second // of CPU per million series, at most
	figuresStartBase = time.Second     // of CPU for any start, at most: -race is slow
)

// TestFigures stores many series, in pushes of 100, and prints what they cost on
// disk, in memory and at a start: behind kill -9, and behind a proper stop. It
// fails beyond the budgets of docs/design.md. The figures of
// docs/queue-format.md are those of -figures.series=1000000 -v.
func TestFigures(t *testing.T) {
	f := &figures{dir: t.TempDir(), series: *figuresSeries}
	url, _ := f.start(t)
	empty := f.heap(t, url)
	begin := time.Now()
	f.push(t, url)
	took := time.Since(begin)
	written, samples := metricOf(t, url, "pushbridge_queue_appended_bytes_total"), metricOf(t, url, "pushbridge_queue_appended_samples_total")
	t.Logf("%d series pushed in %v, %.1f B per sample on disk", f.series, took.Round(time.Millisecond), written/samples)
	f.server.kill()

	for _, how := range []string{"kill -9", "a proper stop"} {
		url, ready := f.start(t)
		cpu, rss := f.cpu(t), f.residentBytes(t)
		perSeries := (f.heap(t, url) - empty) / float64(f.series)
		t.Logf("a start behind %s: ready after %v (%v of CPU), resident %.0f MiB, heap %.0f B per series",
			how, ready.Round(time.Millisecond), cpu, rss/(1<<20), perSeries)
		if got := metricOf(t, url, "pushbridge_group_series"); got < float64(f.series) {
			t.Errorf("%v series are back, want %d", got, f.series)
		}
		if perSeries > figuresHeap && f.series >= 100_000 {
			t.Errorf("a series takes %.0f B of heap, the budget is %d", perSeries, figuresHeap)
		}
		if limit := figuresStartBase + figuresStart*time.Duration(f.series)/1_000_000; cpu > limit {
			t.Errorf("the start took %v of CPU, the budget is %v", cpu, limit)
		}
		if code := f.server.stop(t); code != 0 {
			t.Errorf("exit code %d\n%s", code, f.server.tail())
		}
	}
}

type figures struct {
	dir    string
	series int
	server *server
}

// start starts the server and returns its URL, and after how long it was ready.
func (f *figures) start(t *testing.T) (url string, took time.Duration) {
	t.Helper()
	begin := time.Now()
	f.server = startServer(t, serverBinary(t), f.dir, "--storage.path=data", "--log.level=warn")
	url = f.server.ready(t)
	return url, time.Since(begin)
}

func (f *figures) push(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: figuresPushers}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	var next atomic.Int64
	for range figuresPushers {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < int64(f.series/figuresPerPush) && !t.Failed(); n = next.Add(1) - 1 {
				target := fmt.Sprintf("%s/metrics/job/figures/instance/%d", url, n)
				if code, err := answerTo(t.Context(), client, http.MethodPut, target, figuresBody(int(n))); err != nil || code != http.StatusOK {
					t.Errorf("push %d: %d, %v", n, code, err)
				}
			}
		})
	}
	wg.Wait()
}

// figuresBody has ten families with ten series each, whose values differ from
// push to push.
func figuresBody(n int) string {
	var b strings.Builder
	for family := range 10 {
		fmt.Fprintf(&b, "# HELP figures_%d_total What the jobs did.\n# TYPE figures_%d_total counter\n", family, family)
		for i := range 10 {
			fmt.Fprintf(&b, "figures_%d_total{step=\"%d\",state=\"done\"} %d\n", family, i, n*7919+i*family)
		}
	}
	return b.String()
}

// heap returns the bytes in use after a garbage collection.
func (f *figures) heap(t *testing.T, url string) float64 {
	t.Helper()
	fetch(t, url+"/debug/pprof/heap?gc=1")
	return metricOf(t, url, "go_memstats_heap_alloc_bytes")
}

// metricOf returns the value of a metric without labels. It does not parse the
// rest, which is long here.
func metricOf(t *testing.T, url, name string) float64 {
	t.Helper()
	_, rest, found := strings.Cut(string(fetch(t, url+"/metrics")), "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	v, err := strconv.ParseFloat(value, 64)
	if !found || err != nil {
		t.Fatalf("%s is not in /metrics: %v", name, err)
	}
	return v
}

// cpu returns the time that the server has had on all processors. A start on a
// machine that is busy otherwise takes longer, and no more of this.
func (f *figures) cpu(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(f.server.cmd.Process.Pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * time.Second / 100 // the kernel's clock ticks
}

// residentBytes returns what the kernel says that the server occupies.
func (f *figures) residentBytes(t *testing.T) float64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(f.server.cmd.Process.Pid), "statm"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text))
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return float64(pages * os.Getpagesize())
}
