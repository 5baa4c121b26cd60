package remotewrite

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/golang/snappy"
)

// probe is an empty request: it stores nothing, and its answer says whether the
// destination is set up rightly, before there is a sample to learn it from.
type probe struct {
	line   *line
	failed func(failure)
	wanted func() bool // whether nobody knows yet
	said   answer
}

func (p *probe) ready() bool { return p.wanted() }

func (p *probe) judged(a answer, v verdict) verdict {
	p.said = a
	return v
}

func (p *probe) again(a answer) { p.failed(failureOf(a)) }

// send sends empty requests until there is an answer to one that is not to be repeated.
// It returns the protocol that it is to, 0 when the end came first or nobody wants to
// know any more.
func (p *probe) send(ctx context.Context, first Protocol, back *backoff) Protocol {
	for protocol := first; ; protocol = Protocol1 {
		_, v, err := p.line.exchange(ctx, ctx, protocol, emptyRequest(protocol), back, p)
		switch {
		case err != nil || v == again:
			return 0
		case v == speak1:
			continue
		}
		return protocol
	}
}

// emptyRequest is one without any series.
func emptyRequest(p Protocol) *buffer {
	var raw []byte
	if p == Protocol2 {
		raw = new(encoder2).append(nil, nil)
	}
	b := new(buffer)
	b.fill(func(dst []byte) []byte { return snappy.Encode(dst, raw) })
	return b
}

// probe finds out about the receiver as long as no shard does.
func (d *Destination) probe(ctx context.Context) {
	if !d.o.Probe {
		return
	}
	p := &probe{line: &d.line, wanted: func() bool { return !d.report.tried() }}
	p.failed = func(f failure) {
		d.report.failed(probing, f)
		d.lookNow()
	}
	back := newBackoff(&d.config.Queue)
	protocol := p.send(ctx, d.line.negotiation.current(), &back)
	d.report.probed()
	switch {
	case protocol == 0:
	case p.said.success():
		d.log.Info("receiver answers", "protocol", protocol.String(), "status", p.said.status)
	default:
		f := failureOf(p.said)
		d.log.Warn("receiver answers an empty request with a refusal", "status", f.status, "answer", f.text, "hint", f.means)
	}
}

// Answer is what a receiver said to an empty request.
type Answer struct {
	Protocol Protocol // that it was sent in
	Status   int      // 0: there was no answer
	Text     string   // of it, or why there was none
	Hint     string   // what to look at, where that is known
	Good     bool     // samples can be sent
}

// String is a for people.
func (a Answer) String() string {
	var text string
	switch {
	case a.Status == 0:
		text = "no answer: " + a.Text
	case a.Good:
		text = fmt.Sprintf("answers %d, takes remote write %s", a.Status, a.Protocol)
	default:
		text = fmt.Sprintf("answers %d %s", a.Status, http.StatusText(a.Status))
		if a.Text != "" {
			text += ": " + a.Text
		}
	}
	if a.Hint != "" {
		text += "\n    " + a.Hint
	}
	return text
}

// Probe sends an empty request to the destination of c, once, and says what answers.
// Nothing is stored by it.
func Probe(ctx context.Context, c Config) (Answer, error) {
	cl, err := newClient(&c, nil, time.Now)
	if err != nil {
		return Answer{}, fmt.Errorf("destination %s: %w", c.ID(), err)
	}
	defer cl.http.CloseIdleConnections()
	n := newNegotiation(&c, false)
	protocol := n.current()
	a := cl.post(ctx, emptyRequest(protocol), protocol, 0)
	if judge(a, n.terms(protocol)) == speak1 {
		protocol = Protocol1
		a = cl.post(ctx, emptyRequest(protocol), protocol, 0)
	}
	f := failureOf(a)
	said := Answer{Protocol: protocol, Status: a.status, Good: a.success() && judge(a, n.terms(protocol)) != again}
	if !said.Good {
		said.Text, said.Hint = f.text, f.means
	}
	return said, nil
}
