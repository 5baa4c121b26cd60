package remotewrite

import "time"

// stuckAfter is how long a batch may get nothing but server errors, while others
// succeed, until it is named.
const stuckAfter = 10 * time.Minute

// stuckWatch finds batches that the receiver stumbles over: each try ends in a
// 5xx, and others get through. They are tried for ever, but somebody must hear
// of it.
type stuckWatch struct {
	d     *Destination
	batch *batch
	since time.Time // first failure, zero before
	only5 bool      // nothing but 5xx so far
	named bool
}

func newStuckWatch(d *Destination, b *batch) *stuckWatch {
	return &stuckWatch{d: d, batch: b, only5: true}
}

// failed notes a try that will be repeated.
func (w *stuckWatch) failed(a answer) {
	now := w.d.now()
	if w.since.IsZero() {
		w.since = now
	}
	w.only5 = w.only5 && a.status/100 == 5
	if w.named || !w.only5 || now.Sub(w.since) < stuckAfter || !w.d.report.succeededSince(w.since) {
		return
	}
	w.named = true
	w.d.metrics.stuck.Inc()
	first := w.batch.parts[0].item
	w.d.log.Error("a batch gets nothing but server errors while others succeed; it is tried again until it is taken",
		"group", first.record.Labels.Brief(), "from_seq", first.seq, "to_seq", w.batch.last,
		"samples", len(w.batch.series), "status", a.status, "answer", a.text)
}

// end says that the batch is out of the way.
func (w *stuckWatch) end() {
	if w.named {
		w.d.metrics.stuck.Dec()
	}
}
