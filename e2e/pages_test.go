package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"golang.org/x/sync/errgroup"
)

// eventful is a gateway with something of everything: three destinations of which one
// refuses and one is down, jobs in time and overdue, groups that were refused.
type eventful struct {
	*gateway
	refuses *atomic.Bool // whether the second destination does
}

func startEventful(t *testing.T) *eventful {
	t.Helper()
	refuses := &atomic.Bool{}
	refuses.Store(true)
	good := newInProcess(t, bothProtocols, nil)
	picky := newInProcess(t, bothProtocols, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refuses.Load() {
				http.Error(w, "who are you", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	file := filepath.Join(t.TempDir(), "config.yml")
	config := fmt.Sprintf(`
remote_write:
  - {name: good, url: %s}
  - {name: picky, url: %s, queue_config: {max_backoff: 100ms}}
  - {name: down, url: "http://127.0.0.1:1/write"}
pushbridge:
  jobs:
    - {labels: {job: nightly, instance: db1}, every: 24h}
    - {labels: {job: never}, every: 1s, grace: 0s}
    - {labels: {job: ci-1}, schedule: "30 2 * * *", time_zone: Europe/Berlin}
  rules:
    - {match: 'job="ci-3"', expect_every: 1ns}
`, good.writeURL(), picky.writeURL())
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &eventful{startPushbridge(t, "--config.file="+file, "--web.enable-admin-api"), refuses}
	g.put(t, "nightly/instance/db1", nightly)
	for i := range 12 {
		g.put(t, fmt.Sprintf("ci-%d/branch/main", i), fmt.Sprintf("# TYPE ci_builds_total counter\nci_builds_total %d\n", i*1000))
	}
	refuse := func(path, body string) {
		if code, _, err := send(t.Context(), http.MethodPut, g.base+"/metrics/job/"+path, body, nil); err != nil || code != http.StatusBadRequest {
			t.Fatalf("%s: %d %v", path, code, err)
		}
	}
	refuse("clash", "# TYPE ci_builds_total gauge\nci_builds_total 1\n")
	refuse("a/odd", "m 1\n")
	return g
}

// TestPages goes from page to page as a person does, with a large window and a phone's,
// in light and dark: each shows what it is for, nothing sticks out at the side, nothing
// that can be used has no name, and the browser has nothing to complain about.
func TestPages(t *testing.T) {
	g := startEventful(t)
	waitLive(t, g.gateway, "And 4 more problems")
	for _, look := range []struct {
		name  string
		width int64
		dark  bool
	}{{"large", 1280, false}, {"large dark", 1280, true}, {"phone", 390, false}, {"phone dark", 390, true}} {
		t.Run(look.name, func(t *testing.T) {
			p := openPage(t, g.base+"/", chromedp.EmulateViewport(look.width, 900), scheme(look.dark))
			for _, at := range []struct {
				path  string
				wants []string
			}{
				{"", []string{"turns away whatever is sent", "1 job is overdue: never", "credentials", "Refused of late"}},
				{"groups", []string{`job="nightly"`, "1 to 14", "last push refused (1)", "overdue (1)"}},
				{"groups?q=nightly", []string{"1 of 14 groups match"}},
				{"jobs", []string{`job="never"`, "overdue", "30 2 * * * Europe/Berlin", `job="nightly"`}},
				{"destinations", []string{"good", "picky", "refusing", "down", "failing"}},
				{"destination?name=picky", []string{"refusing", "The last hour", "who are you", "max_backoff: 100ms"}},
				{"refused", []string{"400 conflict", "400 path", "/metrics/job/a/odd"}},
				{"status", []string{"storage", "on disk", "web.enable-admin-api"}},
			} {
				p.open(t, g.base+"/"+at.path)
				body := p.text(t, "body")
				for _, want := range at.wants {
					if !strings.Contains(body, want) {
						t.Errorf("/%s does not show %q:\n%s", at.path, want, body)
					}
				}
				p.checkShape(t, "/"+at.path, look.width)
				p.pictureOf(t, at.path)
			}
			p.open(t, g.base+"/groups?q=nightly")
			p.do(t, chromedp.Click(css(".group a")), chromedp.WaitVisible(css(".family")))
			p.checkShape(t, "the group", look.width)
			p.pictureOf(t, "group")
			p.quiet(t)
		})
	}
}

// scheme is what the browser says that its user likes.
func scheme(dark bool) chromedp.Action[chromedp.Void] {
	value := "light"
	if dark {
		value = "dark"
	}
	return browserCommand(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	})
}

// checkShape finds what sticks out, and what has no name for a screen reader.
func (p *page) checkShape(t *testing.T, where string, width int64) {
	t.Helper()
	if wide := ask(t, p, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); wide > width {
		t.Errorf("%s is %d wide, the window %d", where, wide, width)
	}
	nameless := ask(t, p, chromedp.Evaluate[int](`[...document.querySelectorAll("a, button, input, [role=region], nav, section, svg[role=img]")].filter((e) =>
		e.checkVisibility() && !(e.textContent.trim() || e.ariaLabel || e.getAttribute("aria-labelledby") || e.labels?.length)).length`))
	if nameless > 0 {
		t.Errorf("%s: %d things have no name", where, nameless)
	}
	if n := p.count(t, "h1"); n != 1 {
		t.Errorf("%s has %d headings of the first order", where, n)
	}
}

// TestPageFilters types each kind of filter, and finds the groups that it means.
func TestPageFilters(t *testing.T) {
	g := startEventful(t)
	p := openPage(t, g.base+"/groups")
	for _, tt := range []struct {
		filter string
		want   int
	}{
		{`job="ci-1"`, 1},
		{`{job=~"ci-.*"}`, 12},
		{`{job=~"ci-1.?", branch="main"}`, 3},
		{`job!="nightly" branch=main`, 12},
		{"ci main", 12},
		{"BATCH_rows", 1},
		{`{job=~"ci-.*"} ci-11`, 1},
		{"nothing like it", 0},
	} {
		p.open(t, g.base+"/groups")
		p.do(t, chromedp.KeyEvent("/"))
		p.waitFor(t, `document.activeElement.id === "q"`)
		// The browser's protocol types the slash although the page has prevented it.
		p.do(t, chromedp.Evaluate[chromedp.Void](`void (document.getElementById("q").value = "")`), chromedp.SendKeys(css("#q"), tt.filter+"\r"))
		p.waitFor(t, fmt.Sprintf(`new URLSearchParams(location.search).get("q") === %q`, tt.filter))
		p.waitRows(t, tt.want)
	}
	for box, want := range map[string]int{"failed": 1, "overdue": 1} {
		p.open(t, g.base+"/groups")
		p.do(t, chromedp.Click(css("input[name="+box+"]")), chromedp.Click(css(`.filter button`)))
		p.waitRows(t, want)
	}
	for title, first := range map[string]string{
		"oldest push first": `job="clash"`, "latest push first": `job="ci-11"`, "most series first": `job="nightly"`, "overdue first": `job="ci-3"`,
	} {
		p.open(t, g.base+"/groups")
		p.do(t, chromedp.Click(css(fmt.Sprintf(".sorts a:nth-of-type(%d)", sortNumber[title]))))
		p.waitFor(t, fmt.Sprintf(`document.querySelector(".sorts [aria-current]")?.textContent === %q`, title))
		if got := p.text(t, ".group .label"); got != first {
			t.Errorf("%s: the first is %s, want %s", title, got, first)
		}
	}
	// A filter that cannot be read says why, and offers to delete nothing.
	p.open(t, g.base+`/groups?q={job=~"("}`)
	if body := p.text(t, "main"); !strings.Contains(body, "This filter cannot be read: matchers") || p.count(t, ".group") != 0 {
		t.Errorf("a bad filter:\n%s", body)
	}
	for path, want := range map[string]int{"jobs?q=ci": 1, `jobs?q={job!="never"}`: 2, "refused?q=odd": 1, "refused?q=clash+conflict": 1} {
		p.open(t, g.base+"/"+path)
		if n := p.count(t, "main tbody tr"); n != want {
			t.Errorf("%s: %d rows, want %d", path, n, want)
		}
	}
	p.quiet(t)
}

var sortNumber = map[string]int{"latest push first": 2, "oldest push first": 3, "most series first": 4, "overdue first": 5}

// browserCommand sends one command of the browser's own protocol.
func browserCommand[P, R any](cmd cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, tab, cmd, params)
		return chromedp.Void{}, err
	}
}

// TestPageDeletesMatching deletes what a filter shows: the question names it, thinking
// better of it deletes nothing, and what does not match stays.
func TestPageDeletesMatching(t *testing.T) {
	g := startEventful(t)
	p := openPage(t, g.base+`/groups?q={job=~"ci-1.?"}`)
	if p.count(t, "#wipe") != 0 {
		t.Error("a button to delete all, while a filter is on")
	}
	p.do(t, chromedp.Click(css("#delete-matching")), chromedp.WaitVisible(css("#confirm")))
	said := p.text(t, "#confirm")
	for _, want := range []string{"Delete 3 groups?", `job="ci-1" branch="main"`, `job="ci-10"`, `job="ci-11"`} {
		if !strings.Contains(said, want) {
			t.Errorf("the question does not have %q:\n%s", want, said)
		}
	}
	p.picture(t)
	p.do(t, chromedp.Click(css(`#confirm button[value="no"]`)), chromedp.WaitNotVisible(css("#confirm")))
	if n := len(apiGroups(t, g.gateway)); n != 14 {
		t.Errorf("%d groups after thinking better of it", n)
	}
	p.do(t, chromedp.Click(css("#delete-matching")), chromedp.WaitVisible(css("#confirm")), chromedp.Click(css(`#confirm button[value="yes"]`)))
	p.waitRows(t, 0)
	if n := len(apiGroups(t, g.gateway)); n != 11 {
		t.Errorf("%d groups are left, want 11", n)
	}
	p.quiet(t)
}

// TestPageWithoutJavaScript reads, filters and turns pages in a browser that runs none.
func TestPageWithoutJavaScript(t *testing.T) {
	g := startEventful(t)
	waitLive(t, g.gateway, "more problems")
	// What the test itself evaluates is not the page's, and runs.
	p := openPage(t, g.base+"/", browserCommand(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	if said := p.text(t, "#state"); !strings.Contains(said, "turns away whatever is sent") {
		t.Errorf("the line says %q", said)
	}
	p.do(t, chromedp.Click(css(`nav a[href="groups"]`)), chromedp.WaitVisible(css("#q")))
	if p.count(t, "button.delete:not([hidden])") != 0 {
		t.Error("a button that does nothing")
	}
	p.do(t, chromedp.SendKeys(css("#q"), `job="ci-5"`+"\r"), chromedp.WaitVisible(css(`.filter a[href="groups"]`)))
	if n := p.count(t, ".group"); n != 1 {
		t.Errorf("%d groups, want 1", n)
	}
	p.do(t, chromedp.Click(css(".group a")), chromedp.WaitVisible(css(".family")))
	if body := p.text(t, "main"); !strings.Contains(body, "ci_builds_total") || !strings.Contains(body, "ago") {
		t.Errorf("the group:\n%s", body)
	}
	p.picture(t)
}

// TestPageShowsChanges keeps a page open: what changes shows without loading it again, in
// the line, in the title, in the icon and in the tables.
func TestPageShowsChanges(t *testing.T) {
	g := startEventful(t)
	waitLive(t, g.gateway, "picky turns away")
	p := openPage(t, g.base+"/destinations")
	p.do(t, chromedp.Evaluate[chromedp.Void](`void (window.notLoadedAgain = true)`))
	p.waitFor(t, `document.title.startsWith("(") && document.getElementById("icon").href.includes("icon-bad")`)
	began := time.Now()
	g.refuses.Store(false)
	p.waitFor(t, `[...document.querySelectorAll("tbody tr")].some((r) => r.textContent.includes("picky") && r.querySelector(".badge.good")) && !document.getElementById("state").textContent.includes("picky")`)
	t.Logf("shown after %s, backoff of the destination included", time.Since(began).Round(100*time.Millisecond))
	g.refuses.Store(true)
	g.put(t, "nightly/instance/db1", nightly)
	p.waitFor(t, `document.getElementById("state").textContent.includes("picky turns away") && document.getElementById("state").className.includes("bad")`)
	p.waitFor(t, `window.notLoadedAgain === true`)
	p.quiet(t)

	// A gateway that is gone is not all well.
	g.kill()
	p.waitFor(t, `document.getElementById("state").textContent.includes("does not answer")`)
}

// waitLive waits until the line above every page says something.
func waitLive(t *testing.T, g *gateway, want string) {
	t.Helper()
	eventually(t, "health", func() error {
		if text := mustGet(t, g.base+"/live"); !strings.Contains(text, want) {
			return fmt.Errorf("it says %s", text)
		}
		return nil
	})
}

// TestPageOfManyGroups holds the pages of 5,000 groups to what they may weigh, and goes
// through them.
func TestPageOfManyGroups(t *testing.T) {
	g := startPushbridge(t, "--storage.fsync=off")
	var pushers errgroup.Group
	pushers.SetLimit(16)
	const groups = 5000
	for i := range groups {
		pushers.Go(func() error {
			path := fmt.Sprintf("/metrics/job/batch-%d/instance/host-%d.example.net/team/storage", i%40, i)
			code, body, err := send(t.Context(), http.MethodPut, g.base+path, nightly, nil)
			if err != nil || code != http.StatusOK {
				return fmt.Errorf("%d %s %w", code, body, err)
			}
			return nil
		})
	}
	if err := pushers.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/groups", "/groups?page=25&sort=-series", `/groups?q={job=~"batch-1.*"}+host`} {
		began := time.Now()
		text := mustGet(t, g.base+strings.ReplaceAll(path, `"`, "%22"))
		t.Logf("%s: %d bytes in %s", path, len(text), time.Since(began).Round(time.Millisecond))
		if len(text) > 200<<10 {
			t.Errorf("%s has %d bytes", path, len(text))
		}
	}
	p := openPage(t, g.base+"/groups")
	p.do(t, chromedp.Click(css(`a[rel="next"]`)))
	p.waitFor(t, `document.querySelector(".pages span")?.textContent === "page 2 of 50"`)
	p.waitRows(t, 100)
	p.picture(t)
	p.quiet(t)
}
