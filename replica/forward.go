package replica

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

// Headers between replicas.
const (
	byHeader        = "X-Pushbridge-Forwarded-By" // the replica that asks
	epochHeader     = "X-Pushbridge-Epoch"        // of the leader that it asks
	tokenHeader     = "X-Pushbridge-Token"        // see gateway.Token
	headHeader      = "X-Pushbridge-Head"         // of the answer: the log has everything up to there
	elsewhereHeader = "X-Pushbridge-Elsewhere"    // of the answer: somebody else leads
)

// What elsewhereHeader says of the request.
const (
	untouched = "untouched" // it was not carried out
	unknown   = "unknown"   // it may be kept or not
)

// foldTimeout is how long an answer waits for this replica's own fold.
const foldTimeout = 5 * time.Second

// errHeld says that nobody led for as long as a push is held.
var errHeld = errors.New("no replica leads, or the one that does cannot be reached: try again")

// errUnknown says what is not known of a push.
var errUnknown = errors.New("the replica that leads was asked and has not answered: it is not known whether the push is kept")

// Forward makes next answer requests that change something, wherever they are carried out.
// next does when this replica leads. Others pass.
func (x *Replicas) Forward(next http.Handler) http.Handler {
	return x.forward(next, http.MethodPut, http.MethodPost, http.MethodDelete)
}

// ForwardReads is Forward for what only the one that leads can tell.
func (x *Replicas) ForwardReads(next http.Handler) http.Handler {
	return x.forward(next, http.MethodGet)
}

func (x *Replicas) forward(next http.Handler, methods ...string) http.Handler {
	if !x.shared {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			next.ServeHTTP(w, r)
			return
		}
		if r.Header.Get(byHeader) != "" {
			x.serveOther(next, w, r)
			return
		}
		x.serve(next, w, r)
	})
}

// serveOther answers another replica, if this one leads as that one believes.
func (x *Replicas) serveOther(next http.Handler, w http.ResponseWriter, r *http.Request) {
	l := x.o.Gateway.Log().Lease().Leader()
	if epoch, err := strconv.ParseUint(r.Header.Get(epochHeader), 10, 64); err != nil || !l.Here || l.Epoch != epoch || x.down() {
		w.Header().Set(elsewhereHeader, untouched)
		http.Error(w, "this replica does not lead, or not by that claim", http.StatusMisdirectedRequest)
		return
	}
	n, _ := strconv.ParseUint(r.Header.Get(tokenHeader), 10, 32) // 0: none
	if t := gateway.ParseToken(n); t != 0 {
		r = r.WithContext(t.With(r.Context()))
	}
	told := &telling{w: w, log: x.o.Gateway.Log()}
	next.ServeHTTP(told, r)
	told.WriteHeader(http.StatusOK) // or it was told already
}

// down says that the log takes nothing at present, and that this may pass.
func (x *Replicas) down() bool { return errors.Is(x.o.Gateway.Log().Err(), queue.ErrUnavailable) }

// push is a request on its way.
type push struct {
	x       *Replicas
	next    http.Handler
	r       *http.Request
	body    []byte
	release func(unused bool) // of body
	lent    bool              // net/http may read body even when it has given up
	key     group.Labels      // nil: there is nothing to look for
	awaited *gateway.Awaited  // nil as well
	end     time.Time         // then it was held long enough
	held    bool

	until context.Context //nolint:containedctx // ends then; nil until it has to wait
	stop  func()          // of until
}

// serve carries out a request of a client.
func (x *Replicas) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	body, release, err := x.o.Intake.Keep(w, r)
	if err != nil {
		defer release(true)
		x.o.Intake.Refuse(w, r, err)
		return
	}
	p := &push{x: x, next: next, r: r, body: body, release: release, end: time.Now().Add(x.o.HoldTimeout)}
	defer p.close()
	if r.Method == http.MethodPut || r.Method == http.MethodPost {
		p.key = x.o.Intake.Key(r)
	}
	if p.key != nil {
		p.awaited = x.o.Gateway.Await(p.key)
		defer p.awaited.Close()
	}
	a := p.answer()
	if p.held {
		x.metrics.held.Dec()
	}
	a.write(w)
}

// patient returns a context that ends when the push was held long enough. Few pushes need one.
func (p *push) patient() context.Context {
	if p.until == nil {
		p.until, p.stop = context.WithDeadline(context.WithoutCancel(p.r.Context()), p.end)
	}
	return p.until
}

func (p *push) close() {
	if p.until != nil {
		p.stop()
	}
	p.release(!p.lent)
}

// answer asks whoever leads until somebody has answered, or nobody did for too long.
func (p *push) answer() *answer {
	log := p.x.o.Gateway.Log()
	for {
		l := log.Lease().Leader()
		var a *answer
		switch {
		case l.Here && !p.x.down():
			a = p.here()
		case l.ID != "" && !l.Here && !l.Gone && l.Address == "":
			return p.here() // which says who leads, since nobody can be asked
		case l.ID != "" && !l.Here && !l.Gone:
			a = p.there(&l)
		}
		if a == nil {
			p.hold()
		} else if a.lost {
			if a = p.resolve(l.Epoch); a == nil {
				continue // it is not kept
			}
		}
		switch {
		case a != nil:
			p.fold(a)
			return a
		case p.patient().Err() != nil:
			p.x.metrics.timeouts.Inc()
			return refusal(errHeld)
		}
	}
}

// hold waits a moment for things to change.
func (p *push) hold() {
	if !p.held {
		p.held = true
		p.x.metrics.held.Inc()
	}
	pause(p.patient())
}

// resolve finds out what became of a push that the leader of an epoch was asked for: it is in
// the log, or it is not and will never be, for which the answer is nil. Others than pushes
// may be carried out twice.
func (p *push) resolve(epoch uint64) *answer {
	log := p.x.o.Gateway.Log()
	for {
		l := log.Lease().Leader()
		over := l.Over(epoch) && log.Lease().WaitFor(p.patient(), l.Head) == nil
		switch {
		case p.awaited != nil && p.awaited.Seq() > 0:
			return p.kept()
		case over:
			return nil
		case p.patient().Err() != nil:
			p.x.metrics.unknown.Inc()
			return refusal(errUnknown)
		}
		p.hold()
	}
}

// kept is the answer to a push that was found in the log.
func (p *push) kept() *answer {
	a := &answer{status: p.x.o.Accepted, header: http.Header{}}
	if p.r.URL.Query().Has("wait") {
		a.status = http.StatusAccepted // kept, and nobody knows about its delivery
	}
	a.header.Set(gateway.PushIDHeader, p.x.o.Gateway.PushID(p.awaited.Seq(), p.key).String())
	return a
}

// fold waits until what was answered can be read here.
func (p *push) fold(a *answer) {
	head, err := strconv.ParseUint(a.header.Get(headHeader), 10, 64)
	a.header.Del(headHeader)
	if err != nil || p.x.o.Gateway.Log().Head() >= head {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.r.Context()), foldTimeout)
	defer cancel()
	if p.x.o.Gateway.Log().Lease().WaitFor(ctx, head) != nil {
		p.x.metrics.slow.Inc()
	}
}

// request returns the request for one try, with a body of its own.
func (p *push) request(ctx context.Context) *http.Request {
	if p.awaited != nil {
		ctx = p.awaited.Token.With(ctx)
	}
	r := p.r.WithContext(ctx)
	r.Header = maps.Clone(p.r.Header)
	r.Body = io.NopCloser(bytes.NewReader(p.body))
	return r
}
