package disk

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/queue"
)

// orphanLog is a boundedLog with a clock, and the metrics of one life.
type orphanLog struct {
	*boundedLog
	now time.Time
}

func newOrphanLog(t *testing.T, change func(o *options)) *orphanLog {
	o := &orphanLog{now: time.Unix(1_700_000_000, 0)}
	o.boundedLog = newBounded(t, func(opts *options) {
		opts.Now = func() time.Time { return o.now }
		opts.Registerer = prometheus.NewRegistry()
		change(opts)
	})
	return o
}

// restart ends the process, by kill -9 or properly, and opens the cursors of used
// and what is left as orphans.
func (o *orphanLog) restart(kill bool, used ...string) {
	o.t.Helper()
	if !kill {
		if err := o.Close(); err != nil {
			o.t.Fatal(err)
		}
	}
	o.sim = o.sim.crash(true, nil)
	o.o.Registerer = prometheus.NewRegistry()
	o.reopen()
	for _, id := range used {
		o.open(id)
	}
	if err := o.KeepOrphans(); err != nil {
		o.t.Fatal(err)
	}
}

// orphan makes an orphan of an open cursor.
func (o *orphanLog) orphan(c *queue.Cursor) {
	o.t.Helper()
	if err := c.Orphan(); err != nil {
		o.t.Fatal(err)
	}
}

// deliver is deliver with the books.
func (o *orphanLog) deliver(c *queue.Cursor, r *queue.Reader[rec]) (delivered, missing uint64) {
	o.t.Helper()
	delivered, missing = deliver(o.t, c, r)
	total, _ := r.Total()
	if err := c.Settle(0, c.Acknowledged(), total, queue.Outcome{delivered, missing}); err != nil {
		o.t.Error(err)
	}
	return delivered, missing
}

// metric returns what a metric of this life has.
func (o *orphanLog) metric(name string) float64 {
	o.t.Helper()
	families, err := o.o.Registerer.(*prometheus.Registry).Gather()
	if err != nil {
		o.t.Fatal(err)
	}
	for _, f := range families {
		if m := f.GetMetric()[0]; f.GetName() == "pushbridge_queue_"+name {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	o.t.Fatalf("no metric %s", name)
	return 0
}

func (o *orphanLog) abandoned() float64 { return o.metric("abandoned_samples_total") }

// orphans returns how many there are, and how many samples are kept for them.
func (o *orphanLog) orphans() (n int, pending uint64) {
	return int(o.metric("orphans")), uint64(o.metric("orphaned_samples"))
}

// A destination that is not configured for a while, over a reload or over starts,
// goes on where it was and misses nothing.
func TestOrphanComesBack(t *testing.T) {
	for _, row := range []struct {
		name string
		away func(o *orphanLog, c *queue.Cursor)
	}{
		{"reload", func(o *orphanLog, c *queue.Cursor) { o.orphan(c) }},
		{"one start without it", func(o *orphanLog, _ *queue.Cursor) { o.restart(false, "other") }},
		{"one start without any", func(o *orphanLog, _ *queue.Cursor) { o.restart(false) }},
		{"kill -9, and starts without it", func(o *orphanLog, c *queue.Cursor) {
			o.orphan(c)
			o.restart(true, "other")
			o.restart(true, "other")
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := newOrphanLog(t, func(*options) {})
			c, r := o.open("gone")
			o.open("other")
			o.fill(5)
			got, _ := o.deliver(c, r)
			o.fill(20)
			row.away(o, c)
			for _, s := range o.Cursors() {
				if s.ID == "gone" && (s.Open || !s.Orphaned.Equal(o.now)) {
					t.Errorf("%+v, want an orphan since %s", s, o.now)
				}
			}
			o.now = o.now.Add(6 * 24 * time.Hour)
			o.fill(20)
			if n, pending := o.orphans(); n == 0 || pending < o.sum-got {
				t.Errorf("%d orphans, %d samples of %d are kept", n, pending, o.sum-got)
			}
			c, r = o.open("gone")
			o.now = o.now.Add(48 * time.Hour)
			o.fill(1)
			more, missing := o.deliver(c, r)
			if got+more != o.sum || missing != 0 {
				t.Errorf("delivered %d and %d of %d, missing %d", got, more, o.sum, missing)
			}
		})
	}
}

// When its time is over an orphan is gone with its segments, and the loss is
// counted. The time goes on while the process is down.
func TestOrphanEnds(t *testing.T) {
	for _, row := range []struct {
		name      string
		retention time.Duration
		wait      func(o *orphanLog)
	}{
		{"in one life", time.Hour, func(o *orphanLog) { o.now = o.now.Add(time.Hour) }},
		{"over a restart", time.Hour, func(o *orphanLog) {
			o.now = o.now.Add(30 * time.Minute)
			o.restart(true)
			o.maintain()
			if n, _ := o.orphans(); n != 1 {
				o.t.Errorf("%d orphans after half of the time", n)
			}
			o.now = o.now.Add(30 * time.Minute)
		}},
		{"the default", 0, func(o *orphanLog) { o.now = o.now.Add(7 * 24 * time.Hour) }},
		{"none", -1, func(*orphanLog) {}},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := newOrphanLog(t, func(opts *options) { opts.OrphanRetention = row.retention })
			c, r := o.open("gone")
			o.fill(20)
			got, _ := o.deliver(c, r)
			o.fill(50)
			o.orphan(c)
			segments := len(o.sim.list(segmentSuffix))
			if segments < 10 {
				t.Fatalf("%d segments wait", segments)
			}
			row.wait(o)
			o.maintain()
			if n := len(o.Cursors()); n != 0 || len(o.sim.list(cursorSuffix)) != 0 {
				t.Errorf("%d cursors are left, %v", n, o.sim.list(cursorSuffix))
			}
			o.snapshot()
			o.maintain()
			if left := len(o.sim.list(segmentSuffix)); left > segments/2 {
				t.Errorf("%d of %d segments are left", left, segments)
			}
			if want := float64(o.sum - got); o.abandoned() != want {
				t.Errorf("%v samples abandoned, want %v", o.abandoned(), want)
			}
			if _, isNew, err := o.OpenCursor("gone", 1); err != nil || !isNew {
				t.Errorf("comes back too late: new %t, %v", isNew, err)
			}
		})
	}
}

// A clock that was not set yet when a destination went does not end it.
func TestOrphanWithoutClock(t *testing.T) {
	o := newOrphanLog(t, func(*options) {})
	c, _ := o.open("gone")
	set := o.now
	push(t, o.testLog, rec{Time: set.UnixMilli(), Samples: 1}, nil)
	o.commitQueued()
	o.now = time.Unix(5, 0)
	o.orphan(c)
	o.now = set.Add(time.Hour)
	o.maintain()
	if n, _ := o.orphans(); n != 1 {
		t.Error("the orphan has ended with the clock")
	}
}

// An orphan stays within the bounds, and what that costs it is exact when it comes
// back. It makes nobody's pushes fail.
func TestOrphanAtABound(t *testing.T) {
	for _, policy := range []queue.OnFull{queue.DropOldest, queue.Reject} {
		t.Run(policy.String(), func(t *testing.T) {
			o := newOrphanLog(t, func(opts *options) { opts.MaxBytes, opts.OnFull = 4000, policy })
			c, r := o.open("gone")
			o.fill(5)
			got, _ := o.deliver(c, r)
			o.orphan(c)
			o.restart(true)
			o.fill(100)
			if err := o.Err(); err != nil {
				t.Errorf("Err is %v", err)
			}
			if bytes := o.bytes(); bytes > 4000 {
				t.Errorf("%d bytes", bytes)
			}
			for _, s := range o.Cursors() {
				if p := o.Pending(s); s.ID == "gone" && p+got != o.sum {
					t.Errorf("%d pending of %d", p, o.sum-got)
				}
			}
			o.restart(true)
			c, r = o.open("gone")
			more, missing := o.deliver(c, r)
			if got+more+missing != o.sum || missing == 0 {
				t.Errorf("delivered %d, missing %d, of %d", got+more, missing, o.sum)
			}
		})
	}
}

// What stays of a destination that has another id now is its position.
func TestOpenCursorByFormerID(t *testing.T) {
	for _, row := range []struct {
		name string
		away func(o *orphanLog, c *queue.Cursor)
	}{
		{"at a start", func(o *orphanLog, _ *queue.Cursor) {
			if err := o.Close(); err != nil {
				o.t.Fatal(err)
			}
			o.sim = o.sim.crash(true, nil)
			o.o.Registerer = prometheus.NewRegistry()
			o.reopen()
		}},
		{"at a reload", func(o *orphanLog, c *queue.Cursor) { o.orphan(c) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := newOrphanLog(t, func(*options) {})
			c, r := o.open("old")
			o.fill(5)
			got, _ := o.deliver(c, r)
			o.fill(5)
			row.away(o, c)
			c, isNew, err := o.OpenCursor("new", 2, "never", "old")
			if err != nil || isNew || c.Acknowledged() != 5 {
				t.Fatalf("at %d, new %t, %v", c.Acknowledged(), isNew, err)
			}
			if files := o.sim.list(cursorSuffix); len(files) != 1 || !strings.Contains(files[0], "new-") {
				t.Errorf("files %v", files)
			}
			if err := c.Acked(1, 6); err != nil {
				t.Fatal(err)
			}
			o.restart(true)
			if got := o.Cursors(); len(got) != 1 || got[0].ID != "new" || !slices.Equal(got[0].Shards, []queue.Position{at(5, 5), at(6, 6)}) {
				t.Errorf("after kill -9: %+v", got)
			}
			if p := o.Pending(o.Cursors()[0]); p != o.sum-got {
				t.Errorf("%d pending, want %d", p, o.sum-got)
			}
		})
	}
}

// Forget ends orphans, and nothing that is in use.
func TestForget(t *testing.T) {
	o := newOrphanLog(t, func(*options) {})
	c, _ := o.open("gone")
	o.open("used")
	push(t, o.testLog, rec{Samples: 7}, nil)
	o.commitQueued()
	for _, id := range []string{"gone", "used", "never there"} {
		if err := o.Forget(id, "test"); !errors.Is(err, queue.ErrNoOrphan) {
			t.Errorf("forget %s: %v", id, err)
		}
	}
	o.orphan(c)
	if err := o.Forget("gone", "test"); err != nil || o.abandoned() != 7 {
		t.Errorf("forget: %v, %v abandoned", err, o.abandoned())
	}
	if left := o.Cursors(); len(left) != 1 || left[0].ID != "used" {
		t.Errorf("left: %+v", left)
	}
	if _, isNew, err := o.OpenCursor("gone", 1); err != nil || !isNew {
		t.Errorf("comes back: new %t, %v", isNew, err)
	}
}
