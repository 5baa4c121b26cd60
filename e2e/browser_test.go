package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// page is a tab of a real browser. What the page complains about in its console
// fails the test.
type page struct {
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// openPage starts Debian's Chromium without a window, sets it up, and goes to url.
func openPage(t *testing.T, url string, setUp ...chromedp.Action[chromedp.Void]) *page {
	t.Helper()
	path := need(t, "/usr/bin/chromium", "chromium")
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1100, 900))
	browser, cancelBrowser := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancelBrowser)
	ctx, cancelTab := chromedp.NewContext(browser)
	t.Cleanup(cancelTab)
	p := &page{ctx: ctx}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("close the browser: %v", err)
		}
	})
	p.do(t, setUp...)
	p.open(t, url)
	return p
}

// open goes to another page.
func (p *page) open(t *testing.T, url string) {
	t.Helper()
	p.do(t, chromedp.Navigate(url), chromedp.WaitReady(css("main")))
}

func (p *page) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			p.complaints = append(p.complaints, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// quiet fails the test when the page has complained.
func (p *page) quiet(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		t.Errorf("the browser complains: %s", c)
	}
}

// css selects the first element that matches.
type css = chromedp.CSS

// do makes steps in the page, in order.
func (p *page) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.picture(t)
		t.Fatal(err)
	}
}

// ask returns what an action on the page finds.
func ask[T any](t *testing.T, p *page, a chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		p.picture(t)
		t.Fatal(err)
	}
	return v
}

// text returns what a person reads in an element.
func (p *page) text(t *testing.T, selector css) string {
	t.Helper()
	return ask(t, p, chromedp.Text(selector))
}

// count returns how many elements match.
func (p *page) count(t *testing.T, selector css) int {
	t.Helper()
	return ask(t, p, chromedp.Evaluate[int](fmt.Sprintf("document.querySelectorAll(%q).length", selector)))
}

// picture keeps what the page looked like when E2E_PICTURES names a folder.
func (p *page) picture(t *testing.T) { p.pictureOf(t, "") }

// pictureOf is picture of a test that takes several.
func (p *page) pictureOf(t *testing.T, name string) {
	dir := os.Getenv("E2E_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Log(err)
		return
	}
	name = strings.NewReplacer("/", "-", " ", "-").Replace(strings.TrimSuffix(t.Name()+" "+name, " "))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Log(err)
	}
}

// TestPageDeletesGroups uses the pages as a person does: finds a group and reads it,
// thinks better of deleting it, deletes it, and deletes all. The receiver sees the ends.
func TestPageDeletesGroups(t *testing.T) {
	b := newInProcess(t, bothProtocols, nil)
	g := startPushbridge(t, "--web.enable-admin-api", "--remote-write.url="+b.writeURL())
	g.put(t, "nightly/instance/db1", nightly)
	g.put(t, "nightly/path@base64/L3Zhci90bXA/text@base64/PGI-J1wi", "# HELP odd <script>alert(1)</script>\nodd{x=\"<img src=x onerror=alert(1)>\"} 1\n")
	g.put(t, "weekly", "weekly_rows 3\n")
	waitQuery(t, b, `count by (job) (push_time_seconds)`, `{job="nightly"} 2`, `{job="weekly"} 1`)

	p := openPage(t, g.url+"/groups")
	if n, total := p.count(t, ".group"), p.text(t, "#total"); n != 3 || total != "3" {
		t.Errorf("%d groups, total %q", n, total)
	}
	const db1 css = `.group:has(button[data-path$="/instance/db1"])`
	p.do(t, chromedp.Click(db1+" a"), chromedp.WaitVisible(css(".family")))
	body := p.text(t, "main")
	for _, want := range []string{"batch_rows_total", "Rows that were copied.", "4500000", "users", `instance="db1"`, "PUT, which replaced the group", "curl -X PUT"} {
		if !strings.Contains(body, want) {
			t.Errorf("the group does not show %q:\n%s", want, body)
		}
	}
	p.picture(t)
	p.open(t, g.url+"/groups")

	// Keep, then delete.
	p.do(t, chromedp.Click(db1+" button.delete"), chromedp.WaitVisible(css("#confirm")))
	if said := p.text(t, "#confirm"); !strings.Contains(said, "db1") {
		t.Errorf("the question does not name the group: %s", said)
	}
	p.do(t, chromedp.Click(css(`#confirm button[value="no"]`)), chromedp.WaitNotVisible(css("#confirm")))
	if groups := apiGroups(t, g); len(groups) != 3 {
		t.Errorf("%d groups after thinking better of it", len(groups))
	}
	p.do(t,
		chromedp.Click(db1+" button.delete"), chromedp.WaitVisible(css("#confirm")),
		chromedp.Click(css(`#confirm button[value="yes"]`)), chromedp.WaitNotPresent(db1))
	if total := p.text(t, "#total"); total != "2" {
		t.Errorf("total is %q after deleting one of three", total)
	}
	waitQuery(t, b, `{instance="db1"}`)
	if groups := apiGroups(t, g); len(groups) != 2 {
		t.Errorf("the API shows %d groups", len(groups))
	}

	// All of them.
	p.do(t, chromedp.Click(css("#wipe")), chromedp.WaitVisible(css("#confirm")), chromedp.Click(css(`#confirm button[value="yes"]`)))
	p.waitRows(t, 0)
	if err := noGroups(t, g); err != nil {
		t.Error(err)
	}
	waitQuery(t, b, `{job=~".+"}`)
	p.quiet(t)
}

// waitRows waits until the list has so many groups. The page may load itself again
// meanwhile, which an action in the middle of it does not survive.
func (p *page) waitRows(t *testing.T, want int) {
	t.Helper()
	p.waitFor(t, fmt.Sprintf(`document.readyState === "complete" && document.querySelectorAll(".group").length === %d`, want))
}

// waitFor waits until an expression is true.
func (p *page) waitFor(t *testing.T, expression string) {
	t.Helper()
	eventually(t, expression, func() error {
		ctx, cancel := context.WithTimeout(p.ctx, time.Second)
		defer cancel()
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		if err == nil && !ok {
			err = errors.New("not yet")
		}
		return err
	})
}

// TestPageWithoutGroups looks at an empty gateway behind a route prefix.
func TestPageWithoutGroups(t *testing.T) {
	g := startPushbridge(t, "--web.route-prefix=/gate")
	p := openPage(t, g.base+"/groups")
	if body := p.text(t, "#groups"); !strings.Contains(body, g.base+"/metrics/job/") {
		t.Errorf("no example with the address of the gateway:\n%s", body)
	}
	if p.count(t, "#wipe") != 0 {
		t.Error("a button to delete all, although the admin API is off")
	}
	p.picture(t)
	style := ask(t, p, chromedp.Evaluate[string](`getComputedStyle(document.querySelector("header")).display`))
	if style != "flex" && style != "grid" {
		t.Errorf("the style sheet is not there: display of the header is %q", style)
	}
	p.quiet(t)
}
