package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

func pageOf(t testing.TB, h *Handler, target string) string {
	t.Helper()
	resp := request(t, h.Status(), http.MethodGet, target)
	if resp.Status != http.StatusOK {
		t.Fatalf("status %d: %s", resp.Status, resp.Body)
	}
	return resp.Body
}

// TestStatus_Page shows the whole page.
func TestStatus_Page(t *testing.T) {
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
	h.o.AdminAPI = true
	h.o.Flags = map[string]string{"log.level": "info", "web.external-url": ""}
	h.o.Build = map[string]string{"version": "1.2.3", "goVersion": "go1.26"}
	h.o.Ready = func() error { return errors.New("the disk is <full>") }
	h.o.Destinations = func() []Destination {
		return []Destination{
			{Name: "near", URL: "http://near/api/v1/write", Protocol: "2.0", State: "ok", Healthy: true, LastSuccess: testTime.Add(89 * time.Second), Books: Books{Delivered: 1_000_001}},
			{
				Name: "far", URL: "https://user:xxxxx@far/", Protocol: "1.0", State: "failing", Backlog: Backlog{Seconds: 3*3600 + 4*60},
				Books:     Books{Pending: 1_234_567, Delivered: 7, InDoubt: 3, Dropped: map[string]uint64{"disk_bound": 20, "refused": 2}},
				LastError: "503 <b>busy</b>", LastErrorTime: testTime.Add(80 * time.Second),
			},
		}
	}
	h.assets.version = "VERSION"
	golden(t, "page.html", pageOf(t, h, "/"))
}

func TestStatus_Headers(t *testing.T) {
	resp := request(t, newTestHandler(newGateway()).Status(), http.MethodGet, "/status")
	if got, want := resp.Header.Get("Content-Type"), "text/html; charset=utf-8"; got != want {
		t.Errorf("Content-Type: got %q, want %q", got, want)
	}
	policy := resp.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy is %q", policy)
	}
}

// TestStatus_Escapes pushes markup everywhere: it must come out as text, and the
// page must not hold a script or style of its own, which the policy would block.
func TestStatus_Escapes(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror='alert(2)'>`
	g := newGateway()
	g.push(t, group.Change{Kind: group.KindPut}, testTime, "job="+evil+",l="+evil, &dto.MetricFamily{
		Name: new(evil), Help: new(evil), Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{
			Label: []*dto.LabelPair{{Name: new("x"), Value: new(evil)}},
			Gauge: &dto.Gauge{Value: new(1.0)},
		}},
	})
	h := newTestHandler(g)
	h.o.Flags = map[string]string{evil: evil}
	h.o.Ready = func() error { return errors.New(evil) }
	h.o.Destinations = func() []Destination {
		return []Destination{{Name: evil, URL: evil, Protocol: evil, State: evil, LastError: evil, Books: Books{Dropped: map[string]uint64{evil: 1}}}}
	}
	page := pageOf(t, h, "/?q="+url.QueryEscape("script>"))
	for _, bad := range []string{"<script>", "<img", "onerror='", "<style", "style=", "onclick"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %s", bad)
		}
	}
	if n := strings.Count(page, "<script"); n != 1 {
		t.Errorf("got %d scripts, want the page's own", n)
	}
	if !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("what was pushed is not shown")
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if strings.Contains(m[1], "//") {
			t.Errorf("the page refers to %s", m[1])
		}
	}
}

func TestStatus_Lists(t *testing.T) {
	g := newGateway()
	for i := range 2*groupsPerPage + 1 {
		g.put(t, fmt.Sprintf("job=j%04d,team=Red", i), "up 1\n")
	}
	g.put(t, "job=other", "Special_metric 1\n")
	g.fail(t, "job=j0007,team=Red", testTime.Add(time.Second))
	h := newTestHandler(g)
	tests := []struct {
		name       string
		query      string
		groups     int
		first      string
		text, next string
	}{
		{"first page", "", groupsPerPage, "j0000", "1002 of 1002 groups match; here are 1 to 500.", "?page=2"},
		{"second page", "?page=2", groupsPerPage, "j0500", "here are 501 to 1000.", "?page=3"},
		{"last page", "?page=3", 2, "j1000", "here are 1001 to 1002.", ""},
		{"beyond the last page", "?page=99", 2, "j1000", "page 3 of 3", ""},
		{"no number", "?page=x", groupsPerPage, "j0000", "page 1 of 3", "?page=2"},
		{"by label", "?q=job%3D%22j0042", 1, "j0042", "1 of 1002 groups match", ""},
		{"all words, any case", "?q=RED+j000", 10, "j0000", "10 of 1002 groups match", ""},
		{"by metric", "?q=special_M", 1, "other", "1 of 1002 groups match", ""},
		{"refused", "?failed=1", 1, "j0007", "last push refused (1)", ""},
		{"filter keeps its page", "?q=red&page=2", groupsPerPage, "j0500", "1001 of 1002", "?page=3&amp;q=red"},
		{"nothing", "?q=nothing", 0, "", "No group matches.", ""},
	}
	jobs := regexp.MustCompile(`<span class="label job"><b>job</b>([^<]*)</span>`)
	next := regexp.MustCompile(`rel="next" href="([^"]*)"`)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page := pageOf(t, h, "/"+tt.query)
			got := jobs.FindAllStringSubmatch(page, -1)
			if len(got) != tt.groups || len(got) > 0 && got[0][1] != tt.first {
				t.Errorf("got %d groups, first %q; want %d, %q", len(got), got[:min(1, len(got))], tt.groups, tt.first)
			}
			if !strings.Contains(page, tt.text) {
				t.Errorf("the page does not say %q", tt.text)
			}
			link := ""
			if m := next.FindStringSubmatch(page); m != nil {
				link = m[1]
			}
			if link != tt.next {
				t.Errorf("next page: got %q, want %q", link, tt.next)
			}
		})
	}
}

// TestStatus_Bound has more series than a page shows.
func TestStatus_Bound(t *testing.T) {
	var text strings.Builder
	for i := range groupLimits.lines + 1 {
		fmt.Fprintf(&text, "m{i=\"%d\"} %d\n", i, i)
	}
	g := newGateway()
	g.put(t, "job=long", text.String())
	h := newTestHandler(g)

	list := pageOf(t, h, "/")
	if rows := strings.Count(list, "<b>i</b>"); rows != listLimits.family {
		t.Errorf("in the list: got %d series, want %d", rows, listLimits.family)
	}
	link := regexp.MustCompile(`href="(\?group=[^"]*)">Show the whole group`).FindStringSubmatch(list)
	if link == nil {
		t.Fatal("no link to the whole group")
	}
	single := pageOf(t, h, "/"+link[1])
	if rows := strings.Count(single, "<b>i</b>"); rows != groupLimits.lines-1 { // a line is the family's
		t.Errorf("by itself: got %d series, want %d", rows, groupLimits.lines-1)
	}
	for _, want := range []string{"<details open>", "and 2 more", "too long for a page"} {
		if !strings.Contains(single, want) {
			t.Errorf("by itself: no %q", want)
		}
	}
	for _, key := range []string{"x", "!"} {
		if page := pageOf(t, h, "/?group="+key); !strings.Contains(page, "This group is not there any more.") {
			t.Errorf("?group=%s: the page does not say that the group is not there", key)
		}
	}
}

// TestStatus_ExternalPath looks at the links of the page behind a proxy that takes a
// prefix off, which must work also where the address has no slash at its end.
func TestStatus_ExternalPath(t *testing.T) {
	links := regexp.MustCompile(`(?:href|src|data-root)="([^"#?]+)`)
	for external, absolute := range map[string]bool{"": false, "/pg/": true} {
		h := New(Options{Store: newGateway().Store, ExternalPath: external})
		found := links.FindAllStringSubmatch(pageOf(t, h, "/"), -1)
		if len(found) < 4 {
			t.Errorf("only %d links", len(found))
		}
		for _, m := range found {
			if strings.HasPrefix(m[1], "/pg/") != absolute || strings.HasPrefix(m[1], "/") != absolute {
				t.Errorf("external path %q: a link to %s", external, m[1])
			}
		}
	}
}

func TestStatus_Conflict(t *testing.T) {
	g := newGateway()
	g.put(t, "job=a", "# TYPE m gauge\nm 1\n")
	g.put(t, "job=b", "# TYPE m counter\nm 1\n")
	if page := pageOf(t, newTestHandler(g), "/"); !strings.Contains(page, "The metrics view is refused:</strong> 1 inconsistencies") {
		t.Error("the page does not say that /metrics is refused")
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

func BenchmarkStatus_Page(b *testing.B) {
	groups := benchGroups(b, 100_000, 1, 10)
	b.ReportAllocs()
	for b.Loop() {
		var v pageView
		v.count(groups)
		v.showList(groups, url.Values{"q": {"job 99"}}, testTime)
	}
}

// TestStatus_Hidden names the families that /metrics does not show.
func TestStatus_Hidden(t *testing.T) {
	part, err := group.FromDTO(parseText(t, "own 1\n"), group.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := state.New(state.Options{CheckConsistency: true, OwnFamilies: func() []state.OwnFamily {
		return []state.OwnFamily{{Name: "own", Type: group.Gauge}}
	}})
	s.Fold(&group.Record{Kind: group.KindPut, Labels: keyOf("job=a"), Part: part, Members: part.Members()}, 1)
	page := pageOf(t, newTestHandler(&gateway{Store: s}), "/")
	if !strings.Contains(page, "Not shown in /metrics:</strong> own, of 1 groups, for instance {job=&#34;a&#34;}") {
		t.Error("the page does not name what is hidden")
	}
}
