package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/queue"
)

const (
	answerTimeout = 30 * time.Second       // without ?wait=: longer than a write of the leader may take
	lastWord      = 500 * time.Millisecond // what an answer may take when its leader is none any more
	lookInterval  = 50 * time.Millisecond
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
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.r.Context()))
	defer cancel()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) { sent.Store(i.Err == nil) },
	})
	r, err := p.outgoing(ctx, l)
	if err != nil {
		return refusal(err)
	}
	done := make(chan *answer, 1)
	go func() { done <- p.x.exchange(r) }()
	a := p.x.await(done, l, p.patience(), cancel)
	what := a.outcome(sent.Load())
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

// patience is how long an answer may take.
func (p *push) patience() time.Duration {
	if p.r.URL.Query().Has("wait") {
		return answerTimeout + maxWait
	}
	return answerTimeout
}

const maxWait = 10 * time.Minute // as ?timeout= allows

// outgoing is the request as the leader gets it.
func (p *push) outgoing(ctx context.Context, l *queue.Leader) (*http.Request, error) {
	to, err := url.Parse(l.Address)
	if err != nil || to.Host == "" {
		return nil, errors.New("the replica that leads has advertised what is no URL")
	}
	to.RawPath = strings.TrimSuffix(to.EscapedPath(), "/") + strings.TrimPrefix(p.r.URL.EscapedPath(), p.x.o.Prefix)
	if to.Path, err = url.PathUnescape(to.RawPath); err != nil {
		return nil, fmt.Errorf("path of the request: %w", err)
	}
	to.RawQuery = p.r.URL.RawQuery
	r := p.request(ctx)
	r.URL, r.RequestURI, r.Header = to, "", http.Header{} // the host stays: checks of origins go by it
	for _, name := range forwarded {
		if v := p.r.Header.Values(name); len(v) > 0 {
			r.Header[name] = v
		}
	}
	r.Header.Set(byHeader, p.x.o.ID)
	r.Header.Set(epochHeader, strconv.FormatUint(l.Epoch, 10))
	if p.awaited != nil {
		r.Header.Set(tokenHeader, strconv.FormatUint(uint64(p.awaited.Token), 10))
	}
	if len(p.body) == 0 {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	return r, nil
}

// exchange sends r and reads the answer, nil for none.
func (x *Replicas) exchange(r *http.Request) *answer {
	resp, err := x.http.RoundTrip(r)
	if err != nil {
		x.o.Logger.Debug("no answer of the replica that leads", "address", r.URL.Host, "err", err)
		return nil
	}
	defer func() { _ = resp.Body.Close() }() // was only read from
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if _, err := io.Copy(&a.body, io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return nil
	}
	return a
}

// await waits for an answer as long as the one that gives it leads, and a moment longer.
func (x *Replicas) await(done <-chan *answer, l *queue.Leader, patience time.Duration, cancel func()) *answer {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	end := time.Now().Add(patience)
	for {
		select {
		case a := <-done:
			return a
		case now := <-look.C:
			if newest := x.o.Gateway.Log().Lease().Leader(); newest.Over(l.Epoch) {
				end = earlier(end, now.Add(lastWord))
			}
			if now.After(end) {
				cancel()
				return <-done
			}
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
