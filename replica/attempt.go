package replica

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/lane"
	"github.com/pushbridge/pushbridge/queue"
)

const (
	answerTimeout = 30 * time.Second // without ?wait=: longer than a write of the leader may take
	maxAnswer     = 16 << 20
)

// forwarded are the headers of clients that go with a request.
var forwarded = []string{
	"Accept", "Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key", "Origin", "Sec-Fetch-Site", "User-Agent",
	gateway.PushIDHeader,
}

// here carries the request out at this replica.
func (p *push) here() *answer {
	a, log := recordAnswer(p.next, p.request(p.r.Context())), p.x.o.Gateway.Log()
	// What was refused since somebody else leads now may be kept, as a push that was not
	// answered may.
	a.lost = a.status == http.StatusServiceUnavailable && !log.Leads() && log.Lease().Leader().Address != ""
	return a
}

// there asks the replica that leads. It returns nil when that has not done anything.
func (p *push) there(l *queue.Leader) *answer {
	w, err := p.x.way(l.Address)
	if err != nil {
		return refusal(err)
	}
	var a *answer
	var sent bool
	if q := p.plain(w, l); q != nil {
		a, sent = p.askPlain(w, l, q)
	} else {
		r, err := p.outgoing(w, l)
		if err != nil {
			return refusal(err)
		}
		a, sent = p.ask(l, r)
	}
	what := a.outcome(sent)
	p.x.metrics.forwarded.WithLabelValues(what).Inc()
	switch what {
	case outcomeUnreachable, outcomeElsewhere:
		return nil
	case outcomeLost:
		return &answer{lost: true}
	}
	for _, name := range between {
		a.header.Del(name)
	}
	return a
}

// askPlain sends q and returns the answer, nil for none, and whether q was sent.
func (p *push) askPlain(w *way, l *queue.Leader, q *lane.Request) (*answer, bool) {
	var k lane.Call
	defer p.watch(l, k.Cancel)()
	got, sent, err := w.client.Do(&k, q)
	if err != nil {
		p.silent(w.to.Host, err)
		return nil, sent
	}
	return &answer{status: got.Status, header: got.Header, body: *bytes.NewBuffer(got.Body)}, true
}

// ask is askPlain for any request.
func (p *push) ask(l *queue.Leader, r *http.Request) (*answer, bool) {
	var sent atomic.Bool
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	defer p.watch(l, cancel)()
	r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) { sent.Store(i.Err == nil) },
	}))
	a, err := p.x.exchange(r)
	if err != nil {
		p.silent(r.URL.Host, err)
	}
	return a, sent.Load()
}

// exchange sends r and reads the answer.
func (x *Replicas) exchange(r *http.Request) (*answer, error) {
	resp, err := x.http.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // was only read from
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if _, err := io.Copy(&a.body, io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return nil, err
	}
	return a, nil
}

func (p *push) silent(host string, err error) {
	p.x.o.Logger.Debug("no answer of the replica that leads", "address", host, "err", err)
}

// watch has cancel called when the answer of l takes too long. What it returns ends that.
func (p *push) watch(l *queue.Leader, cancel func()) (end func()) {
	w := &wait{epoch: l.Epoch, end: time.Now().Add(p.patience()), cancel: cancel}
	p.x.waits.add(w)
	return func() { p.x.waits.remove(w) }
}

// patience is how long an answer may take.
func (p *push) patience() time.Duration {
	if p.r.URL.RawQuery != "" && p.r.URL.Query().Has("wait") {
		return answerTimeout + maxWait
	}
	return answerTimeout
}

const maxWait = 10 * time.Minute // as ?timeout= allows
