package remotewrite

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.yaml.in/yaml/v2"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue/disk"
)

// renamedLife is a life of a destination under c and o that was called otherwise
// before. It waits until what has other names is ended.
func renamedLife(t *testing.T, dir string, r *receiver, change func(*Config, *Options), before ...Naming) *life {
	t.Helper()
	ended := make(chan struct{})
	l := renamingLife(t, dir, r, change, func() { close(ended) }, before...)
	if len(before) > 0 {
		<-ended
	}
	settled(t, l.d)
	return l
}

// renamingLife is one that does not wait.
func renamingLife(t *testing.T, dir string, r *receiver, change func(*Config, *Options), ended func(), before ...Naming) *life {
	t.Helper()
	c := configFor(t, "http://receiver/")
	c.ProtobufMessage, c.Metadata.Send = Message1, false
	o := Options{Transport: r, Formers: Formers{Former: before, FormerEnded: ended}}
	change(&c, &o)
	l := &life{dir: dir, rig: newRig(t, rigOptions{dir: dir, disk: disk.Options{Fsync: disk.Off, MinFreeBytes: -1}})}
	l.d = l.destination(c, o)
	l.start()
	l.stop = running(t, l.d)
	return l
}

// What external labels or relabel rules named otherwise before is ended when they
// change, in order, and what is named alike goes on.
func TestWhatIsNamedOtherwiseEnds(t *testing.T) {
	external := func(value string) func(*Config, *Options) {
		return func(_ *Config, o *Options) {
			if value != "" {
				o.External = group.NewLabels([]group.Label{{Name: "cluster", Value: value}})
			}
		}
	}
	relabelling := func(text string) func(*Config, *Options) {
		return func(c *Config, _ *Options) { rules(t, text)(c) }
	}
	for _, row := range []struct {
		name          string
		before, after func(*Config, *Options)
		want          []string // after the change
		markers       float64
	}{
		{"external labels", external("a"), external("b"), []string{
			"m{cluster=b,job=j} 2", "m{cluster=a,job=j} stale",
			"n{cluster=b,job=k} 3", "n{cluster=a,job=k} stale",
			"n{cluster=b,job=k} stale",
		}, 6},
		{"rules drop one", external(""), relabelling("[{source_labels: [__name__], regex: n, action: drop}]"), []string{
			"m{job=j} 2", "n{job=k} stale",
		}, 1},
		{"rules drop no more", relabelling("[{source_labels: [__name__], regex: n, action: drop}]"), external(""), []string{
			"m{job=j} 2", "n{job=k} 3", "n{job=k} stale",
		}, 0},
		{"rules dropped everything", relabelling("[{regex: .*, source_labels: [__name__], action: drop}]"), external("b"), []string{
			"m{cluster=b,job=j} 2", "n{cluster=b,job=k} 3", "n{cluster=b,job=k} stale",
		}, 0},
		{"nothing in effect", external(""), relabelling("[{regex: nothing, action: labeldrop}]"), []string{
			"m{job=j} 2", "n{job=k} 3", "n{job=k} stale",
		}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{}
				l := renamedLife(t, filepath.Join(dir, "a"), r, row.before)
				l.put("m 2", "job", "j")
				l.put("n 3", "job", "k")
				settled(t, l.d)
				was := NamingOf(&l.d.config, &l.d.o)
				l.end()
				had := len(r.got())
				l = renamedLife(t, filepath.Join(dir, "a"), r, row.after, was)
				l.delete("job", "k")
				settled(t, l.d)
				got, want := map[string]int{}, map[string]int{}
				for _, s := range r.got()[had:] {
					got[s]++
				}
				for _, s := range row.want {
					want[s]++
				}
				same(t, want, got)
				if n := testutil.ToFloat64(l.d.metrics.renamed); n != row.markers {
					t.Errorf("%v markers, want %v", n, row.markers)
				}
				l.end()
				noProblems(t, r)
			})
		})
	}
}

// Groups that were deleted while a destination was down end under the names that it
// was sent, which have changed since.
func TestBacklogEndsUnderItsNamesOfBefore(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		l := renamedLife(t, filepath.Join(dir, "a"), r, cluster("a"))
		l.put("m 1", "job", "j")
		settled(t, l.d)
		was := NamingOf(&l.d.config, &l.d.o)
		l.stop()
		l.put("m 2", "job", "j")
		l.delete("job", "j")
		l.rig.stop()
		l = renamedLife(t, filepath.Join(dir, "a"), r, cluster("b"), was)
		settled(t, l.d)
		same(t, []string{"m{cluster=a,job=j} 1", "m{cluster=b,job=j} 2", "m{cluster=a,job=j} stale", "m{cluster=b,job=j} stale"}, r.got())
		l.end()
		noProblems(t, r)
	})
}

// endedUnheard sends a group as cluster a, and ends it while nothing is sent. It returns the
// names that it had.
func endedUnheard(t *testing.T, dir string, r *receiver) Naming {
	t.Helper()
	l := renamedLife(t, dir, r, cluster("a"))
	l.put("m 1", "job", "j")
	settled(t, l.d)
	was := NamingOf(&l.d.config, &l.d.o)
	l.stop()
	l.delete("job", "j")
	l.rig.stop()
	return was
}

// A receiver that refuses the markers under the names of before, and a restart meanwhile,
// do not keep what ended in the backlog from ending: it is owed until it was sent.
func TestBacklogEndsOverARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		was := endedUnheard(t, dir, r)
		r.answer = func(q *request, _ int) reply {
			if slices.ContainsFunc(q.samples, func(s sample) bool { return strings.Contains(s.series, "cluster=a") }) {
				return reply{status: 503}
			}
			return reply{}
		}
		had := len(r.all())
		l := renamingLife(t, dir, r, cluster("b"), func() { t.Error("the names of before count as ended") }, was)
		await(t, "refused", func() bool { return len(r.all()) > had+1 })
		l.end()

		r.answer = nil
		l = renamedLife(t, dir, r, cluster("b"), was)
		same(t, []string{"m{cluster=a,job=j} 1", "m{cluster=a,job=j} stale", "m{cluster=b,job=j} stale"}, r.got())
		l.end()
	})
}

// Markers under one name of before that may have arrived are never in one request with
// those under another (promise P2).
func TestBacklogEndsUnderEachNameByItself(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		a := endedUnheard(t, dir, r)
		r.answer = func(*request, int) reply { return reply{lost: true} }
		had := len(r.all())
		l := renamingLife(t, dir, r, cluster("b"), func() {}, a)
		await(t, "sent", func() bool { return len(r.all()) > had })
		b := NamingOf(&l.d.config, &l.d.o)
		l.end()

		r.answer = nil
		l = renamedLife(t, dir, r, cluster("c"), a, b)
		same(t, []string{"m{cluster=a,job=j} 1", "m{cluster=a,job=j} stale", "m{cluster=b,job=j} stale", "m{cluster=c,job=j} stale"}, r.got())
		l.end()
		noProblems(t, r)
	})
}

// cluster gives every series this label.
func cluster(value string) func(*Config, *Options) {
	return func(_ *Config, o *Options) {
		o.External = group.NewLabels([]group.Label{{Name: "cluster", Value: value}})
	}
}

// A Naming that was written down names as before.
func TestNamingIsReadBack(t *testing.T) {
	c := configFor(t, "http://receiver/")
	rules(t, "[{source_labels: [a, b], regex: '(x+)', target_label: c, replacement: '$1', action: replace}, {regex: d, action: labeldrop}]")(&c)
	n := NamingOf(&c, &Options{External: group.NewLabels([]group.Label{{Name: "cluster", Value: "a"}}), Traits: Traits{Natives: NativesBeside}})
	text, err := yaml.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	var back Naming
	if err := yaml.UnmarshalStrict(text, &back); err != nil {
		t.Fatal(err)
	}
	if err := back.Check(); err != nil || !back.Equal(n) {
		t.Errorf("read back %+v, %v", back, err)
	}
	f := newFormer(&back)
	got, _, ok := f.relabel.one([]group.Label{{Name: "__name__", Value: "m"}, {Name: "a", Value: "x"}, {Name: "d", Value: "1"}})
	if !ok {
		t.Fatal("dropped")
	}
	same(t, "m{a=\"x\",cluster=\"a\"}", seriesName(got))
	if other := (Naming{Place: n.Place}); other.Equal(n) {
		t.Error("a Naming without rules is equal to one with some")
	}
}
