package web

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/pushbridge/pushbridge/state"
)

// Exposition serves the /metrics view: the gateway's own metrics and those of
// all groups, families by name, each with one HELP and TYPE, their series by
// group and then in the order they were pushed. It streams: the text of a
// million series takes no more memory than the list of families.
type Exposition struct {
	store *state.Store
	own   prometheus.Gatherer
	turns chan struct{} // one for each scrape that is being answered; nil: any number
	now   func() time.Time
	log   *slog.Logger
}

// newExposition returns the view of the groups of o's store.
func newExposition(o Options) *Exposition {
	e := &Exposition{store: o.Store, own: o.Gatherer, now: o.Now, log: o.Logger}
	if o.MaxScrapes > 0 {
		e.turns = make(chan struct{}, o.MaxScrapes)
	}
	return e
}

// scrapeTime is how long a client may take to read a view. One that stands still must
// not keep others waiting for their turn for ever.
const scrapeTime = 5 * time.Minute

// turn waits for the scrape's turn. It fails when the client is gone by then.
func (e *Exposition) turn(w http.ResponseWriter, r *http.Request) (done func(), err error) {
	if e.turns == nil {
		return func() {}, nil
	}
	select {
	case e.turns <- struct{}{}:
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(scrapeTime)) // not every writer has one
	return func() {
		_ = c.SetWriteDeadline(time.Time{})
		<-e.turns
	}, nil
}

// ServeHTTP answers a scrape.
func (e *Exposition) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	done, err := e.turn(w, r)
	if err != nil {
		e.log.Debug("scrape given up before its turn", "err", err)
		return
	}
	defer done()
	own, err := e.gather()
	if err != nil {
		e.log.Error("metrics view refused", "err", err)
		http.Error(w, "An error has occurred while serving metrics:\n\n"+err.Error(), http.StatusInternalServerError)
		return
	}
	format := negotiateFormat(r.Header)
	w.Header().Set("Content-Type", string(format))
	if err := e.write(w, r, format, newView(e.store.All(), e.now(), own, e.store.OwnNames())); err != nil {
		e.log.Debug("metrics view cut short", "err", err)
		panic(http.ErrAbortHandler) // or the scrape would pass for a whole one
	}
}

// gather returns the gateway's own metrics, or an error when the view would be
// inconsistent: Pushgateway refuses a scrape then, and half a view is worse.
func (e *Exposition) gather() ([]*dto.MetricFamily, error) {
	if n := e.store.LiveConflicts(); n > 0 {
		if err := e.store.Inconsistency(); err != nil {
			return nil, fmt.Errorf("%d inconsistencies between pushed groups: %w", n, err)
		}
	}
	own, err := e.own.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather the gateway's own metrics: %w", err)
	}
	return own, nil
}

// write sends the view, compressed if the client takes gzip.
func (e *Exposition) write(w http.ResponseWriter, r *http.Request, format expfmt.Format, v *view) error {
	if !takesGzip(r.Header) {
		return v.write(w, format)
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(z)
	z.Reset(w)
	if err := v.write(z, format); err != nil {
		return err
	}
	return z.Close()
}

// gzipWriters keeps compressors, which cost more than a small scrape. Scrapes
// mostly stay in one rack: time matters more than the last bytes.
var gzipWriters = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is valid
	return z
}}

// expositionBuffer is what is collected before it goes to the connection or the
// compressor.
const expositionBuffer = 64 << 10

// write sends all families in format.
func (v *view) write(w io.Writer, format expfmt.Format) error {
	b := bufio.NewWriterSize(w, expositionBuffer)
	one := v.protobuf(b, format)
	if format.FormatType() == expfmt.TypeTextPlain {
		one = v.text(b, format.ToEscapingScheme())
	}
	if err := v.each(one); err != nil {
		return err
	}
	return b.Flush()
}
