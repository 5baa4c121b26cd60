package remotewrite

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/deadletter"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

// Log is the log that destinations read.
type Log = queue.Log[*group.Record]

// Options are what a Destination needs beside its configuration.
type Options struct {
	Log    *Log
	Cursor *queue.Cursor // of Config.ID, with Config.Shards shards

	// State returns the state of now. It is sent first while the cursor is new.
	State func() *Restatement

	// FillHoles makes Run fill the hole that an outage leaves in groups that nobody
	// pushes to, from the State behind it.
	FillHoles bool

	Formers

	// Refreshed returns what was sent by a refresh, by the clock mark that defines it, as
	// far as it is still known: see gateway.Gateway. It is called for those that whoever sent
	// before may have sent, and that the log's memory does not have any more.
	Refreshed func(mark *group.Record, seq uint64) []*group.Record

	Traits
	External      group.Labels          // labels that every series gets, unless it has them
	FlushDeadline time.Duration         // 5 s: how long Run goes on after ctx has ended
	Letters       *deadletter.Store     // where what is refused for good is kept; nil: nowhere
	Intake        *Intake               // shared by all destinations; may be nil
	Probe         bool                  // sends an empty request at the start
	Transport     http.RoundTripper     // replaces what the configuration asks for, auth included
	Logger        *slog.Logger          // discards
	Registerer    prometheus.Registerer // none
	Now           func() time.Time      // time.Now
}

// Formers are the names under which series were sent before, and what becomes of them.
type Formers struct {
	// Former are the names under which series were sent before, if those are other
	// ones than now: Run ends what has other names now, with the State, and then calls
	// FormerEnded.
	Former      []Naming
	FormerEnded func()
}

// Traits are what a section of remote_write has no field for. The zero value sends names
// as they are, native histograms in the forms that are safe, and holds what the receiver
// turns away because of how the destination is set up.
type Traits struct {
	Escaping     model.EscapingScheme // of names that are not [a-zA-Z_:][a-zA-Z0-9_:]*; 0: as is
	Natives      Natives              // in which forms native histograms go out
	DropRejected bool                 // drops what is turned away, whatever the samples, as Prometheus does
}

func (o Options) withDefaults() Options {
	if o.FlushDeadline == 0 {
		o.FlushDeadline = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) escaping() model.EscapingScheme { return o.Escaping }

// Destination reads the log and sends what it reads to one url.
type Destination struct {
	config Config
	o      Options
	log    *slog.Logger

	line     line
	cursor   *queue.Cursor
	report   *reporter
	metrics  *metrics
	ledger   *ledger
	refusals refusals
	shards   []*shard
	fates    *fates

	debt      debt // the state, where it is to be sent
	cut       cut
	condition condition
	besides
}

// besides are those that send beside the shards.
type besides struct {
	metadata *metadataSender
	troubled *troubled
	replayer *replayer
}

// cut is whether Cut was called.
type cut struct {
	once sync.Once
	off  chan struct{} // closed then
}

func (d *Destination) now() time.Time { return d.o.Now() }

// NewDestination prepares a destination. It starts nothing and sends nothing.
func NewDestination(c Config, o Options) (*Destination, error) {
	o = o.withDefaults()
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("destination %s: %w", c.ID(), err)
	}
	if n := o.Cursor.Shards(); n != c.Shards() {
		return nil, fmt.Errorf("destination %s: cursor has %d shards, want %d", c.ID(), n, c.Shards())
	}
	cl, err := newClient(&c, o.Transport, o.Now)
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", c.ID(), err)
	}
	d := &Destination{
		config: c, o: o,
		log:     o.Logger.With("destination", c.ID()),
		line:    line{client: cl, negotiation: newNegotiation(&c, o.DropRejected), now: o.Now},
		cursor:  o.Cursor,
		ledger:  newLedger(o.Cursor, o.Log.Samples),
		metrics: newMetrics(&c, o.Intake),
		cut:     cut{off: make(chan struct{})},
	}
	d.line.client.may = o.Log.Lease().Held
	d.report = newReporter(d.log, o.Now)
	d.metadata = newMetadataSender(d)
	d.troubled = newTroubled(d)
	d.replayer = newReplayer(d)
	if o.Letters != nil {
		o.Letters.Know(c.ID())
	}
	for i := range c.Shards() {
		d.shards = append(d.shards, newShard(d, i))
	}
	d.fates = newFates(d.shards)
	d.debt.first.Store(o.State != nil && o.Cursor.IsNew())
	return d, nil
}

// ID is the ID of the destination's configuration.
func (d *Destination) ID() string { return d.config.ID() }

// Renew makes the next requests look up anew where the receiver is, and ask for new
// credentials where they are asked for at all.
func (d *Destination) Renew() {
	if err := d.line.client.renewAuth(); err != nil {
		d.log.Warn("cannot set up the client anew, going on with the one before", "err", err)
	}
	d.line.client.renew()
}

// Cut ends Run at once, once its ctx has ended: requests on the way are given up,
// and what was in them is in doubt.
func (d *Destination) Cut() { d.cut.once.Do(func() { close(d.cut.off) }) }

// Run sends until ctx ends, and then what is there for at most FlushDeadline. A
// request that fails after that is not repeated: what is not acknowledged is
// sent after the next start. It returns an error only if it cannot work at all.
func (d *Destination) Run(ctx context.Context) error {
	unregister, err := d.metrics.register(d.o.Registerer, newBookMetrics(d))
	if err != nil {
		return fmt.Errorf("destination %s: %w", d.config.ID(), err)
	}
	defer unregister()
	defer d.condition.stopped.Store(true)
	d.tellStart()
	defer d.fates.end()
	if u := d.config.Unused(); len(u) > 0 {
		d.log.Info("settings without effect here are ignored", "fields", u)
	}
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		defer cancel()
		select {
		case <-hard.Done():
		case <-d.cut.off:
		case <-time.After(d.o.FlushDeadline):
		}
	})
	defer stop()
	return d.run(ctx, hard)
}

// run starts the shards and hands out records until the end.
func (d *Destination) run(ctx, hard context.Context) error {
	var wg, extra sync.WaitGroup
	extraCtx, endExtra := context.WithCancel(ctx)
	extra.Go(func() { d.metadata.run(extraCtx) })
	extra.Go(func() { d.troubled.run(extraCtx) })
	extra.Go(func() { d.lookAround(extraCtx) })
	extra.Go(func() { d.probe(extraCtx) })
	extra.Go(func() { d.replayer.run(extraCtx) })
	for _, s := range d.shards {
		wg.Go(func() { s.run(ctx, hard) })
	}
	x := &dispatcher{d: d, reader: d.o.Log.NewReader(d.cursor.Acknowledged())}
	x.run(ctx, hard)
	for _, s := range d.shards {
		s.in.close()
	}
	wg.Wait()
	endExtra()
	extra.Wait()
	x.moveIdle()
	d.settleLetters()
	return x.reader.Close()
}

// noteAhead shows how far ahead of the clock b is, if that is too far.
func (d *Destination) noteAhead(b *batch, now time.Time) {
	ahead := time.UnixMilli(b.newest()).Sub(now)
	if ahead <= group.MaxAhead {
		ahead = 0
	}
	d.metrics.ahead.Set(ahead.Seconds())
}

// noteUnsent tells about samples that never came into a batch.
func (d *Destination) noteUnsent(drops *outcome) {
	for why := range allReasons {
		if n := drops[why]; n > 0 {
			d.metrics.unsent(why, n)
			d.report.drop(refusal{why: why, samples: n})
		}
	}
}

// understood notes that the receiver took a request in p.
func (d *Destination) understood(p Protocol) {
	if d.line.negotiation.understood(p) {
		d.log.Info("receiver understands remote write 2.0 now")
	}
}

// fellBack notes that the receiver does not understand 2.0.
func (d *Destination) fellBack(a answer) {
	sure := a.status != http.StatusBadRequest
	if d.line.negotiation.fallBack(d.now(), sure) {
		d.metrics.fallbacks.Inc()
		d.report.fellBack(a)
	}
}
