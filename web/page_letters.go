package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/deadletter"
)

// lettersView is the page of dead letters: what there is by destination and reason, and
// the letters themselves, the latest first.
type lettersView struct {
	Kept         bool
	Size, Bound  string
	Destinations []letterBoxView
	Of, Reason   string // of the letters that are listed; empty for all
	Total        int
	Matching     int
	Rows         []letterView
	CanReplay    bool
	paging
}

// letterBoxView is what a destination has in letters.
type letterBoxView struct {
	Name, Link     string
	Letters        int
	Samples        string
	Redeemed, Lost string // samples that were delivered after all, and that had to go for the bound; empty for none
	Piles          []pileView
	Export, Replay string // of the API
}

// pileView is what a destination has for one reason.
type pileView struct {
	Reason, Link   string
	Letters        int
	Samples, Size  string
	Oldest, Newest stampView
	Status         int // of the newest, as its text
	Text           string
}

// letterView is one letter.
type letterView struct {
	deadletter.Letter
	When   stampView
	Groups string // the list with its group, empty where the labels are cut
}

const lettersPerPage = 100

func (h *site) viewLetters(r *http.Request) (any, error) {
	query, now := r.URL.Query(), h.o.Now()
	v := lettersView{Of: query.Get("destination"), Reason: query.Get("reason"), CanReplay: h.o.AdminAPI}
	s := h.o.DeadLetters.Store
	if s == nil {
		return v, nil
	}
	size, _ := s.Bytes()
	v.Kept, v.Size, v.Bound = true, bytesText(size), bytesText(s.MaxBytes())
	for _, one := range s.Summaries() {
		v.Total += one.Letters
		if one.Letters > 0 || len(one.Redeemed) > 0 || one.Evicted > 0 {
			v.Destinations = append(v.Destinations, h.viewLetterBox(&one, now))
		}
	}
	ids := s.IDs(v.Of, v.Reason)
	slices.Reverse(ids)
	v.Matching = len(ids)
	v.paging = pagingOf(link(h.o.ExternalPath, "dead-letters", nil), query, len(ids), lettersPerPage)
	for _, id := range ids[max(0, v.From-1):v.To] {
		if l, err := s.Read(id); err == nil { // else it has gone since
			v.Rows = append(v.Rows, h.viewLetter(l, now))
		}
	}
	return v, nil
}

func (h *site) viewLetterBox(s *deadletter.Summary, now time.Time) letterBoxView {
	of := queryOf("destination", s.Destination)
	v := letterBoxView{
		Name: s.Destination, Link: link(h.o.ExternalPath, "destination", queryOf("name", s.Destination)), Letters: s.Letters,
		Samples: grouped(int64(deadletter.Total(s.Samples))), Redeemed: groupedOrNone(deadletter.Total(s.Redeemed)), Lost: groupedOrNone(s.Evicted),
		Export: "api/v1/dead-letters/export?" + of.Encode(), Replay: "api/v1/dead-letters/replay?" + of.Encode(),
	}
	for i := range s.Piles {
		v.Piles = append(v.Piles, h.viewPile(s.Destination, &s.Piles[i], now))
	}
	return v
}

func (h *site) viewPile(destination string, p *deadletter.Pile, now time.Time) pileView {
	v := pileView{
		Reason: p.Reason, Letters: p.Letters, Samples: grouped(int64(p.Samples)), Size: bytesText(p.Bytes),
		Link:   link(h.o.ExternalPath, "dead-letters", url.Values{"destination": {destination}, "reason": {p.Reason}}),
		Oldest: moment(p.Oldest, now), Newest: moment(p.Newest, now),
	}
	if l, err := h.o.DeadLetters.Store.Read(p.Latest); err == nil { // else it has gone since
		v.Status, v.Text = l.Status, l.Text
	}
	return v
}

func (h *site) viewLetter(l deadletter.Letter, now time.Time) letterView {
	v := letterView{Letter: l, When: moment(l.Time, now)}
	if l.Group != "" && !strings.Contains(l.Group, "…") {
		v.Groups = link(h.o.ExternalPath, "groups", queryOf("q", l.Group))
	}
	return v
}

func groupedOrNone(n uint64) string {
	if n == 0 {
		return ""
	}
	return grouped(int64(n))
}
