package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// stubborn is a receiver that refuses for good as long as refuses says so.
func stubborn(t *testing.T) (b *inProcess, refuses *atomic.Bool) {
	t.Helper()
	refuses = &atomic.Bool{}
	refuses.Store(true)
	return newInProcess(t, bothProtocols, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refuses.Load() {
				http.Error(w, "out of bounds", http.StatusBadRequest)
				return
			}
			next.ServeHTTP(w, r)
		})
	}), refuses
}

// TestPageDeadLetters looks at what a receiver has refused for good, in each window, finds
// letters by reason, and has them sent once more when the receiver was mended: the page
// shows what became of them without loading again.
func TestPageDeadLetters(t *testing.T) {
	b, refuses := stubborn(t)
	g := startPushbridge(t, "--web.enable-admin-api", "--remote-write.url="+b.writeURL(), "--refresh.interval=0")
	g.put(t, "nightly/instance/db1", "rows 1\n")
	g.put(t, "ci/branch/main", "builds 1\n")
	g.waitKept(t)
	for _, look := range []struct {
		name  string
		width int64
		dark  bool
	}{{"large", 1280, false}, {"phone dark", 390, true}} {
		t.Run(look.name, func(t *testing.T) {
			p := openPage(t, g.base+"/dead-letters", chromedp.EmulateViewport(look.width, 900), scheme(look.dark))
			body := p.text(t, "main")
			for _, want := range []string{"refused", "out of bounds", "400", `{branch="main",job="ci"}`, "2 of 2", "ago", "Export", "Send once more"} {
				if !strings.Contains(body, want) {
					t.Errorf("the page does not show %q:\n%s", want, body)
				}
			}
			p.checkShape(t, "/dead-letters", look.width)
			p.picture(t)
			p.quiet(t)
		})
	}

	p := openPage(t, g.base+"/dead-letters")
	export := ask(t, p, chromedp.Evaluate[string](`document.querySelector("a[download]").href`))
	if text := mustGet(t, export); !strings.Contains(text, `"__name__":"builds"`) {
		t.Errorf("the export has no sample of what was refused: %s", text)
	}
	p.do(t, chromedp.Click(css(".piles th a")))
	p.waitFor(t, `new URLSearchParams(location.search).get("reason") === "refused" && document.readyState === "complete"`)
	if said := p.text(t, "#letters"); !strings.Contains(said, "2 of 2") || !strings.Contains(said, "for refused") {
		t.Errorf("the list of one reason says %q", said)
	}

	// Keep, then send. A mended receiver takes them.
	refuses.Store(false)
	p.do(t, chromedp.Evaluate[chromedp.Void](`void (window.notLoadedAgain = true)`),
		chromedp.Click(css("button.replay")), chromedp.WaitVisible(css("#confirm")))
	if said := p.text(t, "#confirm"); !strings.Contains(said, "samples in 2 letters") {
		t.Errorf("the question is %q", said)
	}
	p.do(t, chromedp.Click(css(`#confirm button[value="no"]`)), chromedp.WaitNotVisible(css("#confirm")))
	if g.metric(t, "pushbridge_deadletter_samples") == 0 {
		t.Error("something was sent after thinking better of it")
	}
	p.do(t, chromedp.Click(css("button.replay")), chromedp.WaitVisible(css("#confirm")), chromedp.Click(css(`#confirm button[value="yes"]`)))
	waitQuery(t, b, `builds`, `builds{branch="main",job="ci"} 1`)
	p.do(t, chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	p.waitFor(t, `document.getElementById("boxes").textContent.includes("were delivered after all") && window.notLoadedAgain === true`)
	p.quiet(t)
}

// waitKept waits until everything that was pushed is a dead letter.
func (g *gateway) waitKept(t *testing.T) {
	t.Helper()
	eventually(t, "dead letters", func() error {
		waiting, kept := g.metric(t, "pushbridge_remotewrite_samples_pending"), g.metric(t, "pushbridge_deadletter_samples")
		if waiting > 0 || kept == 0 {
			return fmt.Errorf("%g samples wait, %g are kept", waiting, kept)
		}
		return nil
	})
}

// TestPageDeadLettersAreOnlyRead is the page without the admin flag, and without
// JavaScript: all of it can be read, and nothing is offered that does nothing.
func TestPageDeadLettersAreOnlyRead(t *testing.T) {
	b, _ := stubborn(t)
	g := startPushbridge(t, "--remote-write.url="+b.writeURL(), "--refresh.interval=0")
	p := openPage(t, g.base+"/dead-letters", browserCommand(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	if body := p.text(t, "main"); !strings.Contains(body, "There are none") {
		t.Errorf("the page without letters:\n%s", body)
	}
	g.put(t, "ci", "builds 1\n")
	g.waitKept(t)
	p.do(t, chromedp.Click(css(`nav a[href="dead-letters"]`)), chromedp.WaitVisible(css("#list")))
	if body := p.text(t, "main"); !strings.Contains(body, "out of bounds") {
		t.Errorf("the page:\n%s", body)
	}
	if n := p.count(t, "main button"); n != 0 {
		t.Errorf("%d buttons, although the admin API is off", n)
	}
}

// TestPagePauses pauses a destination and resumes it, as a person does.
func TestPagePauses(t *testing.T) {
	b := newInProcess(t, bothProtocols, nil)
	g := startPushbridge(t, "--web.enable-admin-api", "--remote-write.url="+b.writeURL())
	g.put(t, "ci", "builds 1\n")
	waitQuery(t, b, `builds`, `builds{job="ci"} 1`)
	p := openPage(t, g.base+"/destinations")
	p.do(t, chromedp.Click(css("tbody th a")), chromedp.WaitVisible(css("button.pause")))
	press := func(want, answer, then string) {
		t.Helper()
		if got := p.text(t, "button.pause"); got != want {
			t.Fatalf("the button says %q, want %q", got, want)
		}
		p.do(t, chromedp.Click(css("button.pause")), chromedp.WaitVisible(css("#confirm")))
		p.do(t, chromedp.Click(css(`#confirm button[value="`+answer+`"]`)))
		p.waitFor(t, fmt.Sprintf(`document.readyState === "complete" && document.querySelector("button.pause")?.textContent === %q`, then))
	}
	press("Pause", "no", "Pause")
	press("Pause", "yes", "Resume")
	if facts := p.text(t, "#facts"); !strings.Contains(facts, "paused") {
		t.Errorf("the page of a paused destination:\n%s", facts)
	}
	p.picture(t)
	g.put(t, "ci", "builds 2\n")
	waitLive(t, g, "is paused")
	press("Resume", "yes", "Pause")
	waitQuery(t, b, `builds`, `builds{job="ci"} 2`)
	p.quiet(t)
}

// TestPageCopies takes the labels and the command of a group into the clipboard, as a page
// with TLS can and as one without: the labels are a filter, and the command pushes the same.
func TestPageCopies(t *testing.T) {
	g := startPushbridge(t)
	g.put(t, `ci/text@base64/YSAiYiIgXCBj`, nightly) // a "b" \ c
	const labels = `job="ci" text="a \"b\" \\ c"`
	p := openPage(t, g.base+"/groups")
	group := ask(t, p, chromedp.Evaluate[string](`document.querySelector(".group a").href`))
	for name, setUp := range map[string]chromedp.Action[chromedp.Void]{
		"with the clipboard": chromedp.Sleep(0),
		"without":            chromedp.Evaluate[chromedp.Void](`void Object.defineProperty(navigator.clipboard, "writeText", {value: () => Promise.reject(new Error("no"))})`),
	} {
		t.Run(name, func(t *testing.T) {
			p.open(t, group)
			p.do(t, mayReadClipboard, setUp)
			if got := p.copied(t, `button[data-copy="group-title"]`); got != labels {
				t.Errorf("the labels are %q, want %q", got, labels)
			}
			command := p.copied(t, `button[data-copy="curl-text"]`)
			if !strings.Contains(command, g.base+"/metrics/job/ci/text@base64/") {
				t.Fatalf("the command does not name the gateway: %s", command)
			}
			g.delete(t, `ci/text@base64/YSAiYiIgXCBj`)
			if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", command).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s\n%s", err, command, out)
			}
			if f := g.families(t)["batch_step_seconds"]; f.GetMetric()[0].GetHistogram().GetSampleCount() != 5 {
				t.Errorf("the command pushed %v", f)
			}
		})
	}
	p.open(t, g.base+"/groups")
	p.do(t, chromedp.SendKeys(css("#q"), labels+"\r"))
	p.waitFor(t, `new URLSearchParams(location.search).has("q")`)
	p.waitRows(t, 1)
	p.quiet(t)
}

// mayReadClipboard lets the test see what was copied.
var mayReadClipboard = browserCommand(browser.SetPermission, browser.SetPermissionParams{
	Permission: &browser.PermissionDescriptor{Name: "clipboard-read"}, Setting: browser.PermissionSettingGranted,
})

// copied clicks a button, and returns what the clipboard holds then.
func (p *page) copied(t *testing.T, button css) string {
	t.Helper()
	p.do(t, chromedp.Click(button))
	p.waitFor(t, fmt.Sprintf(`document.querySelector(%q).textContent === "Copied"`, button))
	return ask(t, p, chromedp.Evaluate[string](`navigator.clipboard.readText()`, chromedp.EvalAwaitPromise))
}

// TestPageByKeyboard uses no mouse: it skips the menu, filters, opens a group, comes back,
// thinks better of deleting with Escape, and deletes.
func TestPageByKeyboard(t *testing.T) {
	g := startPushbridge(t)
	g.put(t, "nightly/instance/db1", nightly)
	g.put(t, "nightly/instance/db2", nightly)
	g.put(t, "ci", "builds 1\n")
	p := openPage(t, g.base+"/groups")
	press := func(keys string) { t.Helper(); p.do(t, chromedp.KeyEvent(keys)) }
	tabTo := func(what string) {
		t.Helper()
		for range 60 {
			press(kb.Tab)
			if ask(t, p, chromedp.Evaluate[bool](`document.activeElement.matches(`+strconv.Quote(what)+`)`)) {
				return
			}
		}
		t.Fatalf("no way to %s with the tabulator", what)
	}
	tabTo("a.skip")
	press(kb.Enter)
	p.waitFor(t, `location.hash === "#main"`)
	tabTo("#q")
	press("nightly")
	press(kb.Enter)
	p.waitFor(t, `new URLSearchParams(location.search).get("q") === "nightly"`)
	p.waitRows(t, 2)
	tabTo(".group a")
	press(kb.Enter)
	p.waitFor(t, `location.pathname.endsWith("/group") && document.readyState === "complete"`)
	tabTo("button.delete")
	press(kb.Enter)
	p.waitFor(t, `document.activeElement.value === "no" && document.getElementById("confirm").open`)
	press(kb.Escape)
	p.waitFor(t, `!document.getElementById("confirm").open && document.activeElement.matches("button.delete")`)
	if n := len(apiGroups(t, g)); n != 3 {
		t.Errorf("%d groups after Escape", n)
	}
	press(kb.Enter)
	p.waitFor(t, `document.getElementById("confirm").open`)
	tabTo(`#confirm-yes`)
	press(kb.Enter)
	p.waitFor(t, `location.pathname.endsWith("/groups") && document.readyState === "complete"`)
	p.waitRows(t, 2)
	p.quiet(t)
}
