package remotewrite

import (
	"context"

	"github.com/golang/snappy"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/deadletter"
)

// replayer sends dead letters once more, when it is asked to: in the order of their
// records, in requests of their own.
type replayer struct {
	d    *Destination
	more chan struct{}
	back backoff
	body buffer
	enc  encoder2
}

func newReplayer(d *Destination) *replayer {
	return &replayer{d: d, more: make(chan struct{}, 1), back: newBackoff(&d.config.Queue)}
}

// Replay sends the dead letters of the destination once more. It does not wait for that.
func (d *Destination) Replay() {
	if d.o.Letters != nil {
		signal(d.replayer.more)
	}
}

func (r *replayer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.more:
		}
		ids := r.d.o.Letters.IDs(r.d.ID(), "")
		before := deadletter.Total(r.d.o.Letters.Redeemed(r.d.ID()))
		err := r.all(ctx, ids)
		r.d.report.answered(replaying, false)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.d.report.lettersFailed(err)
		}
		after := r.d.o.Letters.Redeemed(r.d.ID())
		r.d.log.Info("dead letters were sent once more", "letters", len(ids), "delivered", deadletter.Total(after)-before,
			"left", len(r.d.o.Letters.IDs(r.d.ID(), "")))
	}
}

// all sends letters, as many in one request as fit.
func (r *replayer) all(ctx context.Context, ids []uint64) error {
	for len(ids) > 0 {
		g, n := r.gather(ids)
		ids = ids[n:]
		if len(g.series) == 0 {
			continue
		}
		if err := r.d.o.Letters.Try(g.ids(), true); err != nil {
			return err
		}
		if err := r.send(ctx, g); err != nil {
			return err
		}
		if err := r.redeem(g); err != nil {
			return err
		}
	}
	return nil
}

// replayed are letters that are sent together. Record of a series is its place in series.
type replayed struct {
	letters []deadletter.Letter
	ends    []int // of the series of each letter
	series  []convert.Series
	alone   bool // perhaps the receiver has some of them: each goes alone
	refused map[uint32]bool
	taken   int
	pieces  int // single samples that were refused
}

func (g *replayed) ids() []uint64 {
	ids := make([]uint64, len(g.letters))
	for i := range g.letters {
		ids[i] = g.letters[i].ID
	}
	return ids
}

// gather reads letters as far as they fit into one request, one at least. It returns how
// many ids it has looked at.
func (r *replayer) gather(ids []uint64) (*replayed, int) {
	g := &replayed{refused: map[uint32]bool{}}
	f := filling{max: r.d.config.Queue.MaxSamplesPerSend}
	for i, id := range ids {
		l, series, err := r.read(id)
		if err != nil {
			r.d.log.Warn("dead letter cannot be read", "letter", id, "err", err)
			continue
		}
		if fits := f.take(series); len(g.letters) > 0 && (alone(&l) || g.alone || !fits) {
			return g, i
		}
		for _, x := range series {
			x.Record = uint32(len(g.series))
			g.series = append(g.series, x)
		}
		g.letters, g.ends, g.alone = append(g.letters, l), append(g.ends, len(g.series)), alone(&l)
	}
	return g, len(ids)
}

// alone says whether some samples of l may be stored already.
func alone(l *deadletter.Letter) bool { return l.Guess || l.Tried }

func (r *replayer) read(id uint64) (deadletter.Letter, []convert.Series, error) {
	l, err := r.d.o.Letters.Read(id)
	if err != nil {
		return l, nil, err
	}
	series, err := unpackLetter(l.Body)
	return l, series, err
}

// take counts series in, as far as they fit.
func (f *filling) take(series []convert.Series) bool {
	for i := range series {
		if !f.takes(&series[i]) {
			return false
		}
	}
	return true
}

// send sends g. What may be stored already is never in one request with what is not.
func (r *replayer) send(ctx context.Context, g *replayed) error {
	if !g.alone {
		return r.settle(ctx, g, g.series)
	}
	for i := range g.series {
		g.pieces = 0 // one tells nothing of the next
		if err := r.settle(ctx, g, g.series[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// settle sends series of g, and parts of them where they are refused, until it is known
// which ones the receiver takes.
func (r *replayer) settle(ctx context.Context, g *replayed, series []convert.Series) error {
	if g.taken == 0 && g.pieces >= hopelessAfter {
		g.refuse(series)
		return nil
	}
	a, v, err := r.exchange(ctx, series)
	if err != nil {
		return err
	}
	switch v {
	case delivered:
		g.taken += len(series)
		return nil
	case partly:
		if a.written.of(countSeries(series), true) == len(series) {
			g.taken += len(series)
			return nil
		}
	case rejected, speak2:
		if !a.success() {
			g.refuse(series)
			return nil
		}
	case refused, noNatives, again, speak1, stumbles:
	}
	if len(series) == 1 {
		g.pieces++
		g.refuse(series)
		return nil
	}
	at := middle(series)
	if err := r.settle(ctx, g, series[:at]); err != nil {
		return err
	}
	return r.settle(ctx, g, series[at:])
}

func (g *replayed) refuse(series []convert.Series) {
	for i := range series {
		g.refused[series[i].Record] = true
	}
}

// exchange sends series until there is an answer that settles them.
func (r *replayer) exchange(ctx context.Context, series []convert.Series) (answer, verdict, error) {
	protocol := r.d.line.negotiation.current()
	for {
		r.body.fill(func(dst []byte) []byte {
			if protocol == Protocol1 {
				return snappy.Encode(dst, appendRequest1(nil, series))
			}
			return snappy.Encode(dst, r.enc.append(nil, series))
		})
		a, v, err := r.d.line.exchange(ctx, ctx, protocol, &r.body, &r.back, r)
		if err != nil || v != speak1 {
			return a, v, err
		}
		r.d.fellBack(a)
		protocol = Protocol1
	}
}

func (r *replayer) ready() bool { return true }

func (r *replayer) judged(a answer, v verdict) verdict {
	if v != again {
		r.d.report.answered(replaying, a.success())
	}
	return v
}

func (r *replayer) again(a answer) {
	r.d.report.failed(replaying, failureOf(a))
	r.d.lookNow()
}

// redeem writes down what became of the letters of g.
func (r *replayer) redeem(g *replayed) error {
	done := deadletter.Redeemed{Destination: r.d.ID(), Samples: map[string]uint64{}}
	var stay []uint64
	from := 0
	for i, l := range g.letters {
		series := g.series[from:g.ends[i]]
		from = g.ends[i]
		var left []convert.Series
		for _, x := range series {
			if g.refused[x.Record] {
				left = append(left, x)
			}
		}
		switch {
		case len(left) == 0:
			done.IDs = append(done.IDs, l.ID)
			done.Samples[l.Reason] += l.Samples
		case len(left) < len(series):
			if err := r.d.o.Letters.Redeem(remainder(l, left)); err != nil {
				return err
			}
		default:
			stay = append(stay, l.ID)
		}
	}
	if len(stay) > 0 {
		if err := r.d.o.Letters.Try(stay, false); err != nil {
			return err
		}
	}
	if len(done.IDs) == 0 {
		return nil
	}
	return r.d.o.Letters.Redeem(done)
}

// remainder says that only left is left of l. Where nobody knew which samples of l were lost,
// those that are refused still are counted as lost before any other.
func remainder(l deadletter.Letter, left []convert.Series) deadletter.Redeemed {
	rest := l
	rest.Tried = false
	rest.Samples, rest.Series, rest.Body = min(l.Samples, uint64(len(left))), len(left), packLetter(left)
	done := deadletter.Redeemed{IDs: []uint64{l.ID}, Destination: l.Destination, Rest: &rest}
	if n := l.Samples - rest.Samples; n > 0 {
		done.Samples = map[string]uint64{l.Reason: n}
	}
	return done
}
