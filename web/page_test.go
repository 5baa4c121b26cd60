package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/deadletter"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

// pageOf returns a page: target is / or /NAME?QUERY.
func pageOf(t testing.TB, h *Handler, target string) string {
	t.Helper()
	resp := request(t, pageHandler(h, target), http.MethodGet, target)
	if resp.Status != http.StatusOK {
		t.Fatalf("%s: status %d: %s", target, resp.Status, resp.Body)
	}
	return resp.Body
}

func pageHandler(h *Handler, target string) http.Handler {
	path, _, _ := strings.Cut(target, "?")
	if path == "/" {
		path = "/{$}"
	}
	return h.Pages()[path]
}

// busyHandler shows something of everything.
func busyHandler(t *testing.T) *Handler {
	g := newGateway()
	g.push(t, group.Change{Kind: group.KindPut, TTL: 26 * time.Hour}, testTime, "job=batch,instance=i<1", parseText(t, apiPush)...)
	g.put(t, "job=a/b", "m{a=\"b\"} 1\n")
	g.put(t, "job=empty", "")
	g.fail(t, "job=failed", testTime.Add(time.Minute))
	g.push(t, group.Change{Kind: group.KindPut}, testTime, "job=native", &dto.MetricFamily{
		Name: new("n"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCount: new(uint64(4)), SampleSum: new(1.5), Schema: new(int32(0)),
			ZeroThreshold: new(0.1), ZeroCount: new(uint64(1)),
			PositiveSpan: []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(1))}}, PositiveDelta: []int64{3},
		}}},
	})
	h := newTestHandler(g)
	h.o.AdminAPI, h.o.Process.InMemory = true, true
	h.o.Process.Flags = map[string]string{"log.level": "info", "web.external-url": ""}
	h.o.Process.Build = map[string]string{"version": "1.2.3", "goVersion": "go1.26"}
	h.o.Destinations = func() []Destination {
		return []Destination{
			{Name: "near", URL: "http://near/api/v1/write", Protocol: "2.0", State: "ok", Healthy: true, LastSuccess: testTime.Add(89 * time.Second), Books: Books{Delivered: 1_000_001}},
			{
				Name: "far", URL: "https://user:xxxxx@far/", Protocol: "1.0", State: "failing", Backlog: Backlog{Seconds: 3*3600 + 4*60},
				Books:     Books{Pending: 1_234_567, Delivered: 7, InDoubt: 3, Dropped: map[string]uint64{"disk_bound": 20, "refused": 2}},
				LastError: "503 <b>busy</b>", LastErrorTime: testTime.Add(80 * time.Second), Hint: "look there", Stored: Stored{Shards: []Shard{{}}},
			},
		}
	}
	h.o.Pushes = everywhere{
		{Destination: "near", State: "partly_delivered", Time: testTime, Dropped: map[string]uint64{"refused": 1, "too_old": 0}, Suspect: true, Error: "<odd>"},
		{Destination: "far", State: "held", Error: "401"},
	}
	h.o.Settings = func(name string) string { return "name: " + name + "\n" }
	h.o.Jobs = func() []Job {
		return []Job{
			{Labels: map[string]string{"job": "intime"}, When: "every 1d", Due: testTime.Add(time.Hour), LastPush: testTime, LastSuccess: testTime},
			{Labels: map[string]string{"job": "late", "instance": "db1"}, When: "30 2 * * * Europe/Berlin", Due: testTime, Overdue: true},
			{Labels: map[string]string{"job": "hanging"}, When: "every 1d", Due: testTime.Add(time.Minute), Overdue: true, Hangs: true, LastStart: testTime.Add(-time.Hour), Running: true, Runtime: 3690, MaxRuntime: 600},
		}
	}
	refusal := Refusal{
		Time: testTime.Add(time.Minute), Client: "10.0.0.1:1234", Method: "PUT", Path: "/metrics/job/failed", Job: "failed",
		Key: KeyOf(keyOf("job=failed").ID()), Status: 400, Reason: "body", Text: "line 1 is <odd>",
	}
	h.o.Refusals = refusedOnce{refusal, {Time: testTime, Method: "PUT", Path: "/metrics/job", Status: 404, Reason: "path", Text: "404"}}
	h.o.DeadLetters.Store = lettersOf(t,
		deadletter.Letter{Destination: "far", Seq: 7, Group: `{job="batch"}`, Reason: "refused", Status: 400, Text: "out of <b>order</b>", Time: testTime, Samples: 1000, Series: 1000},
		deadletter.Letter{Destination: "far", Seq: 8, Group: `{job="long…"}`, Reason: "refused", Status: 422, Text: "odd", Time: testTime.Add(time.Minute), Samples: 1, Series: 3, Guess: true},
		deadletter.Letter{Destination: "near", Seq: 8, Reason: "not_written", Time: testTime.Add(time.Minute), Samples: 2, Series: 2},
	)
	if err := h.o.DeadLetters.Store.Try([]uint64{3}, true); err != nil {
		t.Fatal(err)
	}
	h.o.History = NewHistory(HistoryOptions{
		Destinations: h.o.Destinations, Refused: func() uint64 { return 2 }, Now: h.o.Now,
	})
	h.assets.version = "VERSION"
	return h
}

// lettersOf is a store with letters, and one that was delivered after all.
func lettersOf(t *testing.T, letters ...deadletter.Letter) *deadletter.Store {
	t.Helper()
	s, err := deadletter.Open(t.TempDir(), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Append(append(letters, deadletter.Letter{Destination: "mended", Reason: "refused", Samples: 5})); err != nil {
		t.Fatal(err)
	}
	if err := s.Redeem(deadletter.Redeemed{IDs: s.IDs("mended", ""), Destination: "mended", Samples: map[string]uint64{"refused": 5}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// refusedOnce has its first as the latest of a group.
type refusedOnce []Refusal

func (r refusedOnce) Latest() []Refusal              { return r }
func (r refusedOnce) Last(id string) (Refusal, bool) { return r[0], r[0].Key == KeyOf(id) }

// everywhere says the same of every group.
type everywhere []Delivery

func (everywhere) Push(string) (Push, error)         { return Push{}, ErrNoPush }
func (e everywhere) OfGroup(*group.Group) []Delivery { return e }

// TestPages_Golden shows whole pages.
func TestPages_Golden(t *testing.T) {
	h := busyHandler(t)
	for name, target := range map[string]string{
		"overview": "/", "groups": "/groups", "jobs": "/jobs", "destinations": "/destinations", "destination": "/destination?name=far",
		"refused": "/refused", "dead-letters": "/dead-letters", "status": "/status", "group": "/group?key=" + KeyOf(keyOf("job=batch,instance=i<1").ID()),
		"failed": "/group?key=" + KeyOf(keyOf("job=failed").ID()),
	} {
		t.Run(name, func(t *testing.T) { golden(t, "page-"+name+".html", pageOf(t, h, target)) })
	}
}

func TestPages_Headers(t *testing.T) {
	h := newTestHandler(newGateway())
	for path := range h.Pages() {
		if path == "/live" {
			continue
		}
		resp := request(t, h.Pages()[path], http.MethodGet, "/")
		if got, want := resp.Header.Get("Content-Type"), "text/html; charset=utf-8"; got != want {
			t.Errorf("%s: Content-Type: got %q, want %q", path, got, want)
		}
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: Content-Security-Policy is %q", path, policy)
		}
	}
}

// TestPages_Escape pushes markup everywhere: it must come out as text, and no page may
// hold a script or style of its own, which the policy would block.
func TestPages_Escape(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror='alert(2)'>`
	g := newGateway()
	key := "job=" + evil + ",l=" + evil
	g.push(t, group.Change{Kind: group.KindPut}, testTime, key, &dto.MetricFamily{
		Name: new(evil), Help: new(evil), Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{
			Label: []*dto.LabelPair{{Name: new("x"), Value: new(evil)}},
			Gauge: &dto.Gauge{Value: new(1.0)},
		}},
	})
	h := newTestHandler(g)
	h.o.Process.Flags = map[string]string{evil: evil}
	h.o.Ready = func() error { return errors.New(evil) }
	h.o.Destinations = func() []Destination {
		return []Destination{{Name: evil, URL: evil, Protocol: evil, State: evil, LastError: evil, Hint: evil, Books: Books{Dropped: map[string]uint64{evil: 1}}}}
	}
	h.o.Settings = func(string) string { return evil }
	h.o.Jobs = func() []Job { return []Job{{Labels: map[string]string{"job": evil}, When: evil, Overdue: true}} }
	h.o.DeadLetters.Store = lettersOf(t, deadletter.Letter{Destination: evil, Group: evil, Reason: evil, Text: evil})
	h.o.Refusals = refusedOnce{{Client: evil, Method: evil, Path: evil, Key: KeyOf(keyOf(key).ID()), Reason: evil, Text: evil}}
	for _, target := range []string{
		"/", "/groups?q=" + url.QueryEscape("script>"), "/groups?q=" + url.QueryEscape(evil+"{"), "/group?key=" + KeyOf(keyOf(key).ID()),
		"/jobs?q=script", "/destinations", "/destination?name=" + url.QueryEscape(evil), "/refused?q=script", "/status", "/dead-letters",
	} {
		page := pageOf(t, h, target)
		for _, bad := range []string{"<script>", "<img", "onerror='", "<style", "style=", "onclick"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s contains %s", target, bad)
			}
		}
		if n := strings.Count(page, "<script"); n != 1 {
			t.Errorf("%s: got %d scripts, want the page's own", target, n)
		}
		if !strings.Contains(page, "&lt;script&gt;alert(1)") {
			t.Errorf("%s does not show what was given", target)
		}
		for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if strings.Contains(m[1], "//") {
				t.Errorf("%s refers to %s", target, m[1])
			}
		}
	}
}

func TestGroups_Lists(t *testing.T) {
	g := newGateway()
	for i := range 2*groupsPerPage + 1 {
		g.put(t, fmt.Sprintf("job=j%04d,team=Red", i), "up 1\n")
	}
	g.push(t, group.Change{Kind: group.KindPut}, testTime.Add(time.Second), "job=other", parseText(t, "Special_metric 1\nSpecial_other 2\n")...)
	g.fail(t, "job=j0007,team=Red", testTime.Add(time.Second))
	h := newTestHandler(g)
	for _, tt := range []struct {
		name, query string
		groups      int
		first, text string
		next        string
	}{
		{"first page", "", groupsPerPage, "j0000", "here are 1 to 100.", "groups?page=2"},
		{"last page", "page=3", 2, "j0200", "here are 201 to 202.", ""},
		{"beyond the last page", "page=99", 2, "j0200", "page 3 of 3", ""},
		{"no number", "page=x", groupsPerPage, "j0000", "page 1 of 3", "groups?page=2"},
		{"half a label", `q=job="j0042`, 1, "j0042", "1 of 202 groups match", ""},
		{"a matcher", `q=job="j0042"`, 1, "j0042", "1 of 202 groups match", ""},
		{"matchers with blanks", `q={job=~"j00.*", team="Red"}`, groupsPerPage, "j0000", "100 of 202 groups match", ""},
		{"matchers and a word", `q={job=~"j00.*"} j0003`, 1, "j0003", "1 of 202 groups match", ""},
		{"two matchers", `q=job!="other" team!=Red`, 0, "", "No group matches.", ""},
		{"a bad matcher", `q={job=~"("}`, 0, "", "This filter cannot be read: matchers", ""},
		{"all words, any case", "q=RED j000", 10, "j0000", "10 of 202 groups match", ""},
		{"by metric", "q=special_M", 1, "other", "1 of 202 groups match", ""},
		{"refused", "failed=1", 1, "j0007", "last push refused (1)", ""},
		{"filter keeps its page", "q=red&page=2", groupsPerPage, "j0100", "201 of 202", "groups?page=3&amp;q=red"},
		{"nothing", "q=nothing", 0, "", "No group matches.", ""},
		{"by series", "sort=-series", groupsPerPage, "other", "here are 1", "groups?page=2&amp;sort=-series"},
		{"by age", "sort=-last_push", groupsPerPage, "other", "here are 1", "groups?page=2&amp;sort=-last_push"},
		{"an order that is none", "sort=x", 0, "", "sort must be one of", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			query, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			page := pageOf(t, h, "/groups?"+query.Encode())
			got := regexp.MustCompile(`<th scope="row" data-name="Group"><a href="group\?key=[\w-]*"><span class="label job"><b>job=</b>&#34;([^&]*)&#34;`).FindAllStringSubmatch(page, -1)
			if len(got) != tt.groups || len(got) > 0 && got[0][1] != tt.first {
				t.Errorf("got %d groups, first %q; want %d, %q", len(got), got[:min(1, len(got))], tt.groups, tt.first)
			}
			if !strings.Contains(page, tt.text) {
				t.Errorf("the page does not say %q", tt.text)
			}
			link := ""
			if m := regexp.MustCompile(`rel="next" href="([^"]*)"`).FindStringSubmatch(page); m != nil {
				link = m[1]
			}
			if link != tt.next {
				t.Errorf("next page: got %q, want %q", link, tt.next)
			}
		})
	}
}

// TestGroups_DeleteNeverAll holds that while a filter is on, nothing offers to delete
// what it does not show.
func TestGroups_DeleteNeverAll(t *testing.T) {
	g := newGateway()
	g.put(t, "job=a", "up 1\n")
	g.put(t, "job=b", "up{x=\"y\"} 1\n")
	h := newTestHandler(g)
	for query, want := range map[string][2]bool{ // all, those that match
		"admin":                    {true, false},
		"admin&q=a":                {false, true},
		"admin&failed=1":           {false, true},
		"admin&overdue=1":          {false, true},
		"admin&sort=-series":       {true, false},
		"q=a":                      {false, true},
		"":                         {false, false},
		"admin&q={job=~\"(\"}&x=y": {false, true},
	} {
		query, h.o.AdminAPI = strings.CutPrefix(query, "admin")
		page := pageOf(t, h, "/groups?"+strings.ReplaceAll(query, "{", "%7B"))
		if got := [2]bool{strings.Contains(page, `id="wipe"`), strings.Contains(page, `id="delete-matching"`)}; got != want {
			t.Errorf("%q: got %v, want %v", query, got, want)
		}
	}
	page := pageOf(t, h, "/groups?q=job%3Da&failed=1")
	if !strings.Contains(page, `data-preview="api/v1/groups?failed=1&amp;limit=1000&amp;q=job%3Da"`) {
		t.Errorf("the preview asks for something else:\n%s", page)
	}
}

// TestGroup_Bound has more series than a page shows.
func TestGroup_Bound(t *testing.T) {
	var text strings.Builder
	for i := range groupLimits.lines + 1 {
		fmt.Fprintf(&text, "m{i=\"%d\"} %d\n", i, i)
	}
	g := newGateway()
	g.put(t, "job=long", text.String())
	h := newTestHandler(g)
	page := pageOf(t, h, "/group?key="+KeyOf(keyOf("job=long").ID()))
	if rows := strings.Count(page, "<b>i=</b>"); rows != groupLimits.lines-1 { // a line is the family's
		t.Errorf("got %d series, want %d", rows, groupLimits.lines-1)
	}
	for _, want := range []string{"and 2 more", "too long for a page", "--data-binary @metrics.prom"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, key := range []string{"x", "!"} {
		if page := pageOf(t, h, "/group?key="+key); !strings.Contains(page, "This group is not there any more.") {
			t.Errorf("?key=%s: the page does not say that the group is not there", key)
		}
	}
}

// TestPages_OldLinks goes where the one page of before has sent people.
func TestPages_OldLinks(t *testing.T) {
	for _, external := range []string{"", "/pg/"} {
		h := New(Options{Store: newGateway().Store, ExternalPath: external})
		for target, want := range map[string]string{
			"/?group=YWJj": "group?key=YWJj", "/?q=a&failed=1": "groups?failed=1&q=a", "/?page=2": "groups?page=2", "/status?group=YWJj": "group?key=YWJj",
		} {
			resp := request(t, pageHandler(h, target), http.MethodGet, target)
			if got := resp.Header.Get("Location"); resp.Status != http.StatusFound || got != external+want {
				t.Errorf("%s: %d to %q, want %q", target, resp.Status, got, external+want)
			}
		}
	}
}

// TestPages_ExternalPath looks at the links of the pages behind a proxy that takes a
// prefix off, which must work also where the address has no slash at its end.
func TestPages_ExternalPath(t *testing.T) {
	links := regexp.MustCompile(`(?:href|src|action|data-root)="([^"#?]+)`)
	for external, absolute := range map[string]bool{"": false, "/pg/": true} {
		h := busyHandler(t)
		h.o.ExternalPath = external
		for path := range h.Pages() {
			if path == "/live" {
				continue
			}
			found := links.FindAllStringSubmatch(pageOf(t, h, strings.Replace(path, "{$}", "", 1)), -1)
			if len(found) < 9 {
				t.Errorf("%s: only %d links", path, len(found))
			}
			for _, m := range found {
				if strings.HasPrefix(m[1], "/pg/") != absolute || strings.HasPrefix(m[1], "/") != absolute {
					t.Errorf("%s: external path %q: a link to %s", path, external, m[1])
				}
			}
		}
	}
}

// TestFindings says what is wrong in one line, the worst first.
func TestFindings(t *testing.T) {
	conflict := newGateway()
	conflict.put(t, "job=a", "# TYPE m gauge\nm 1\n")
	conflict.put(t, "job=b", "# TYPE m counter\nm 1\n")
	failed := newGateway()
	failed.fail(t, "job=a", testTime)
	one := newGateway()
	one.put(t, "job=a", "m 1\n")
	destinations := func(all ...Destination) func(*Options) {
		return func(o *Options) { o.Destinations = func() []Destination { return all } }
	}
	jobs := func(all ...Job) func(*Options) { return func(o *Options) { o.Jobs = func() []Job { return all } } }
	late := Job{Labels: map[string]string{"job": "late"}, Overdue: true}
	for _, tt := range []struct {
		name    string
		gateway *gateway
		with    func(*Options)
		level   level
		want    string
	}{
		{"nothing", newGateway(), nil, levelGood, "All is well: 0 groups."},
		{"all well", one, func(o *Options) {
			destinations(Destination{Name: "a", URL: "a", State: "ok", Healthy: true})(o)
			jobs(Job{Labels: map[string]string{"job": "x"}}, Job{Labels: map[string]string{"job": "y"}})(o)
		}, levelGood, "All is well: 1 group, 1 destination, 2 expected jobs."},
		{"in memory", one, func(o *Options) { o.Process.InMemory = true }, levelGood, "All is well: 1 group."},
		{"the disk", one, func(o *Options) { o.Ready = func() error { return errors.New("disk full") } }, levelBad, "Pushes are not taken: disk full."},
		{"conflict", conflict, nil, levelBad, "/metrics is refused: 1 inconsistencies among the pushed groups. Delete one group of each pair that collides."},
		{"refused push", failed, nil, levelWarn, "The last push of 1 group was refused."},
		{"failing", one, destinations(Destination{Name: "a", URL: "a", State: "failing"}), levelWarn, "Destination a does not answer as it should: samples wait, and nothing is lost."},
		{"refusing", one, destinations(Destination{Name: "a", URL: "a", State: "refusing"}), levelBad, "Destination a turns away whatever is sent: samples are held."},
		{"losing", one, destinations(Destination{Name: "a", URL: "a", State: "losing"}), levelBad, "Destination a is losing samples."},
		{"paused", one, destinations(Destination{Name: "a", URL: "a", State: "ok", Healthy: true, Paused: true}), levelWarn, "Destination a is paused: samples wait until it is resumed."},
		{"not configured", one, destinations(Destination{Name: "a", State: "not configured"}), levelGood, "All is well: 1 group, 1 destination."},
		{"overdue", one, jobs(late, Job{Labels: map[string]string{"job": "x", "instance": "y"}, Overdue: true}), levelBad, `2 jobs are overdue: late, {job="x",instance="y"}.`},
		{"hangs", one, jobs(Job{Labels: map[string]string{"job": "x"}, Overdue: true, Hangs: true}), levelBad, "1 job is running for longer than it may: x."},
		{"the worst first", failed, func(o *Options) {
			destinations(Destination{Name: "a", URL: "a", State: "failing"})(o)
			jobs(late)(o)
		}, levelBad, "1 job is overdue: late. And 2 more problems."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newTestHandler(tt.gateway)
			if tt.with != nil {
				tt.with(&h.o)
			}
			got := h.site.health.now(h.site)
			if got.Level != tt.level || got.Text != tt.want {
				t.Errorf("got %s %q\nwant %s %q", got.Level, got.Text, tt.level, tt.want)
			}
			page := pageOf(t, h, "/jobs")
			if !strings.Contains(page, `class="state `+string(tt.level)+`"`) || !strings.Contains(page, "static/icon-"+string(tt.level)+".svg") {
				t.Error("the page does not show it")
			}
			if strings.Contains(page, "<title>(") != (tt.level != levelGood) {
				t.Error("the title does not show it")
			}
		})
	}
}

// TestLive_Unchanged answers 304 while nothing changes.
func TestLive_Unchanged(t *testing.T) {
	g := newGateway()
	h := newTestHandler(g)
	live := h.Pages()["/live"]
	ask := func(tag string) reply {
		h.site.health.until = time.Time{}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/live", nil)
		r.Header.Set("If-None-Match", tag)
		return serve(live, r)
	}
	first := ask("")
	if again := ask(first.Header.Get("ETag")); first.Status != http.StatusOK || again.Status != http.StatusNotModified || again.Body != "" {
		t.Errorf("got %d, then %d %q", first.Status, again.Status, again.Body)
	}
	g.put(t, "job=a", "m 1\n")
	if changed := ask(first.Header.Get("ETag")); changed.Status != http.StatusOK || !strings.Contains(changed.Body, `"text":"All is well: 1 group."`) {
		t.Errorf("after a push: %d %s", changed.Status, changed.Body)
	}
}

// TestGroupPath decodes what it encodes the way the push API does.
func TestGroupPath(t *testing.T) {
	f := func(key, want string) {
		t.Helper()
		if diff := cmp.Diff(want, groupPath(keyOf(key))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	f("job=a", "metrics/job/a")
	f("job=a,instance=host-1.example", "metrics/job/a/instance/host-1.example")
	f("a=1,job=z,b=2", "metrics/job/z/a/1/b/2")
	f("job=a/b", "metrics/job@base64/YS9i")
	f("job=ü", "metrics/job@base64/w7w")
	f("job=a,x=", "metrics/job/a/x@base64/=")
	f("job=..,x=.", "metrics/job@base64/Li4/x@base64/Lg")
	f("job=a b,x=10.0.0.1:80,y=%,z=1+1", "metrics/job@base64/YSBi/x/10.0.0.1:80/y@base64/JQ/z/1+1")
	f("job=\xff\xfe", "metrics/job@base64/__4")
	f("job=a,the.label=1", "metrics/job/a/U__the_2e_label/1")
}

func TestSpan(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := span(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
	f(0, "0s")
	f(999*time.Millisecond, "0s")
	f(59*time.Second, "59s")
	f(60*time.Second, "1m")
	f(61*time.Second, "1m 1s")
	f(2*time.Hour+59*time.Second, "2h")
	f(49*time.Hour+time.Minute, "2d 1h")
	f(400*24*time.Hour, "400d")
}

// TestPages_Large holds the pages to a size with 5,000 groups.
func TestPages_Large(t *testing.T) {
	g := newGateway()
	for i := range 5000 {
		g.put(t, fmt.Sprintf("job=batch-%d,instance=host-%d.example.net,team=red", i%50, i), "up 1\nbatch_rows 5\n")
	}
	h := newTestHandler(g)
	h.o.AdminAPI = true
	refused := make(refusedOnce, 1000)
	for i := range refused {
		refused[i] = Refusal{Client: "10.0.0.1:12345", Path: "/metrics/job/a", Key: "x", Text: strings.Repeat("reason ", 100)}
	}
	h.o.Refusals = refused
	letters := make([]deadletter.Letter, 1000)
	for i := range letters {
		letters[i] = deadletter.Letter{Destination: "far", Group: keyOf("job=batch,instance=host-1.example.net").Brief(), Reason: "refused", Text: strings.Repeat("reason ", 100), Samples: 1}
	}
	h.o.DeadLetters.Store = lettersOf(t, letters...)
	for _, target := range []string{"/", "/groups", "/groups?q=batch&page=7", "/refused", "/status", "/jobs", "/destinations", "/dead-letters"} {
		if n := len(pageOf(t, h, target)); n > 200<<10 {
			t.Errorf("%s has %d bytes", target, n)
		}
	}
}

func BenchmarkPages_Groups(b *testing.B) {
	for _, n := range []int{5_000, 100_000} {
		b.Run(fmt.Sprintf("groups=%d", n), func(b *testing.B) {
			g := newGateway()
			for i := range n {
				g.put(b, fmt.Sprintf("job=batch-%d,instance=host-%d", i%50, i), "up 1\n")
			}
			h := newTestHandler(g)
			b.ReportAllocs()
			for b.Loop() {
				pageOf(b, h, "/groups?q=host-99")
			}
		})
	}
}

// TestFindings_Hidden names the families that /metrics does not show.
func TestFindings_Hidden(t *testing.T) {
	part, err := group.FromDTO(parseText(t, "own 1\n"), group.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := state.New(state.Options{CheckConsistency: true, OwnFamilies: func() []state.OwnFamily {
		return []state.OwnFamily{{Name: "own", Type: group.Gauge}}
	}})
	s.Fold(&group.Record{Kind: group.KindPut, Labels: keyOf("job=a"), Part: part, Members: part.Members()}, 1)
	page := pageOf(t, newTestHandler(&gateway{Store: s}), "/")
	if !strings.Contains(page, "Not shown in /metrics: own, of 1 groups, for instance {job=&#34;a&#34;}") {
		t.Error("the page does not name what is hidden")
	}
}

// BenchmarkHistory_Observe is what the history costs a push.
func BenchmarkHistory_Observe(b *testing.B) {
	h := NewHistory(HistoryOptions{})
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "metric_%d{a=\"b\"} %d\n", i, i)
	}
	part, err := group.FromDTO(parseText(b, text.String()), group.BuildOptions{})
	if err != nil {
		b.Fatal(err)
	}
	r := &group.Record{Kind: group.KindPut, Labels: keyOf("job=batch,instance=host-1"), Time: 1, Push: 1, Part: part, Members: part.Members()}
	b.ReportAllocs()
	for b.Loop() {
		h.Observe(r)
	}
}
