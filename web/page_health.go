package web

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/deadletter"
)

// level says how bad things are.
type level string

// The levels. A note is nothing that is wrong.
const (
	levelGood level = "good"
	levelNote level = "note"
	levelWarn level = "warn"
	levelBad  level = "bad"
)

// finding is one thing that somebody should know, in words.
type finding struct {
	Level level  `json:"level"`
	Text  string `json:"text"`
	More  string `json:"more,omitempty"` // what there is no room for in one line
	Page  string `json:"page,omitempty"` // where it is all said
}

// health is how things are, in one line and in all its reasons, the worst first.
type health struct {
	Level    level     `json:"level"`
	Text     string    `json:"text"`
	Findings []finding `json:"findings"`

	counts map[string]int // of what is wrong, by page
}

// Problems are the findings that are more than notes.
func (h health) Problems() int {
	n := 0
	for _, f := range h.Findings {
		if f.Level == levelWarn || f.Level == levelBad {
			n++
		}
	}
	return n
}

// healthCache works out the health for all who ask, and no more often than is cheap:
// it looks at every group.
type healthCache struct {
	mu    sync.Mutex
	value health
	until time.Time
}

const (
	healthFor   = time.Second
	healthShare = 50 // so many times as long as it took, the last one is good enough
)

func (c *healthCache) now(h *site) health {
	c.mu.Lock()
	defer c.mu.Unlock()
	began := time.Now()
	if began.Before(c.until) {
		return c.value
	}
	c.value = h.examine()
	c.until = time.Now().Add(min(max(healthFor, healthShare*time.Since(began)), 4*time.Second))
	return c.value
}

// live serves how things are, for the line above every page.
func (h *site) live() http.Handler {
	return GetOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := json.Marshal(h.health.now(h))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		sum := sha256.Sum256(text)
		tag := `"` + hex.EncodeToString(sum[:12]) + `"`
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-cache, private")
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if _, err := w.Write(text); err != nil {
			h.o.Logger.Debug("answer cut short", "err", err)
		}
	}))
}

// examine finds what is wrong.
func (h *site) examine() health {
	e := health{Level: levelGood, counts: map[string]int{}, Findings: []finding{}}
	e.gateway(h)
	destinations := h.o.Destinations()
	e.destinations(destinations)
	jobs := h.o.Jobs()
	e.jobs(jobs)
	groups := e.groups(h)
	e.letters(h)
	if h.o.Process.InMemory {
		e.add(levelNote, "status", "Everything is in memory only: what was pushed is lost when the process ends.")
	}
	slices.SortStableFunc(e.Findings, func(a, b finding) int { return b.Level.rank() - a.Level.rank() })
	e.sum(groups, len(destinations), len(jobs))
	return e
}

func (l level) rank() int {
	switch l {
	case levelNote:
		return 1
	case levelWarn:
		return 2
	case levelBad:
		return 3
	case levelGood:
	}
	return 0
}

func (e *health) add(l level, page, format string, args ...any) {
	e.Findings = append(e.Findings, finding{Level: l, Text: fmt.Sprintf(format, args...), Page: page})
}

func (e *health) gateway(h *site) {
	if err := h.o.Ready(); err != nil {
		e.add(levelBad, "", "Pushes are not taken: %v.", err)
	}
	if n := h.o.Store.LiveConflicts(); n > 0 {
		e.add(levelBad, "", "/metrics is refused: %d inconsistencies among the pushed groups. Delete one group of each pair that collides.", n)
	}
	for _, f := range h.o.Store.Hidden() {
		e.add(levelWarn, "", "Not shown in /metrics: %s, of %d groups, for instance %s. The gateway has metrics of its own that it collides with: push it under another name, and delete it here.", f.Name, f.Groups, f.Group)
	}
}

// destinationLevel says how bad the state of a destination is.
func destinationLevel(d *Destination) level {
	switch {
	case d.Paused:
		return levelWarn
	case d.Healthy:
		return levelGood
	case d.URL == "": // not configured any more
		return levelNote
	case d.State == "losing" || d.State == "refusing" || d.State == "stopped":
		return levelBad
	}
	return levelWarn
}

func (e *health) destinations(all []Destination) {
	for i := range all {
		d := &all[i]
		l := destinationLevel(d)
		if l == levelGood {
			continue
		}
		if l != levelNote {
			e.counts["destinations"]++
		}
		e.Findings = append(e.Findings, finding{
			Level: l, Text: "Destination " + d.Name + " " + destinationWords(d) + ".", More: destinationMore(d),
			Page: link("", "destination", queryOf("name", d.Name)),
		})
	}
}

// destinationWords says what is wrong with a destination, and what becomes of samples.
func destinationWords(d *Destination) string {
	switch {
	case d.Paused:
		return "is paused: samples wait until it is resumed"
	case d.URL == "":
		return "is not configured any more: what it was not sent is kept for a while"
	case d.State == "losing":
		return "is losing samples"
	case d.State == "refusing":
		return "turns away whatever is sent: samples are held"
	case d.State == "failing":
		return "does not answer as it should: samples wait, and nothing is lost"
	}
	return "is " + d.Words()
}

func destinationMore(d *Destination) string {
	var more []string
	if d.Books.Pending > 0 {
		more = append(more, plural(int(d.Books.Pending), "sample")+" waiting.")
	}
	if d.LastError != "" && !d.Healthy {
		more = append(more, "The last error: "+strings.TrimSuffix(d.LastError, ".")+".")
	}
	if d.Hint != "" {
		more = append(more, strings.ToUpper(d.Hint[:1])+strings.TrimSuffix(d.Hint[1:], ".")+".")
	}
	return strings.Join(more, " ")
}

// letters tells of what can be sent once more: nothing is wrong for as long as it lies there.
func (e *health) letters(h *site) {
	if h.o.DeadLetters.Store == nil {
		return
	}
	samples := uint64(0)
	for _, s := range h.o.DeadLetters.Store.Summaries() {
		samples += deadletter.Total(s.Samples)
	}
	if samples > 0 {
		e.add(levelNote, "dead-letters", "%s that receivers have refused for good can be sent once more.", plural(int(samples), "sample"))
	}
}

func (e *health) jobs(all []Job) {
	var overdue, hangs []string
	for i := range all {
		switch j := &all[i]; {
		case j.Hangs:
			hangs = append(hangs, j.text())
		case j.Overdue:
			overdue = append(overdue, j.text())
		}
	}
	e.counts["jobs"] = len(overdue) + len(hangs)
	if n := len(overdue); n > 0 {
		e.add(levelBad, "jobs", "%s overdue: %s.", pluralIs(n, "job"), some(overdue))
	}
	if n := len(hangs); n > 0 {
		e.add(levelBad, "jobs", "%s running for longer than it may: %s.", pluralIs(n, "job"), some(hangs))
	}
}

// groups counts groups, and finds those that something is wrong with.
func (e *health) groups(h *site) (total int) {
	groups, now := h.o.Store.Groups(), h.o.Now()
	failed, overdue := 0, 0
	for _, g := range groups {
		if !lastPushSuccessful(g) {
			failed++
		}
		if g.Overdue(now) {
			overdue++
		}
	}
	e.counts["groups"] = failed + overdue
	if overdue > 0 {
		e.add(levelBad, link("", "groups", queryOf("overdue", "1")), "%s overdue by a rule.", pluralIs(overdue, "group"))
	}
	if failed > 0 {
		e.add(levelWarn, link("", "groups", queryOf("failed", "1")), "The last push of %s was refused.", plural(failed, "group"))
	}
	return len(groups)
}

// sum says it all in one line.
func (e *health) sum(groups, destinations, jobs int) {
	switch n := e.Problems(); n {
	case 0:
		e.Text = fmt.Sprintf("All is well: %s", plural(groups, "group"))
		if destinations > 0 {
			e.Text += ", " + plural(destinations, "destination")
		}
		if jobs > 0 {
			e.Text += ", " + plural(jobs, "expected job")
		}
		e.Text += "."
	default:
		e.Level, e.Text = e.Findings[0].Level, e.Findings[0].Text
		if n > 1 {
			e.Text += fmt.Sprintf(" And %s.", plural(n-1, "more problem"))
		}
	}
}

// some names the first few.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(int64(n)) + " " + what + "s"
}

func pluralIs(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return plural(n, what) + " are"
}
