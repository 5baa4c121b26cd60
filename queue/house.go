package queue

import (
	"log/slog"
	"math"
	"time"
)

// houseInterval is how often cursors are made durable and bounds are checked,
// apart from the moments when that is known to be worth while.
const houseInterval = time.Second

// house keeps the log within its bounds: what nobody needs goes, and at a bound what
// lagging destinations need goes too.
type house struct {
	store     Store
	onFull    OnFull
	log       *slog.Logger
	nag       nag
	metrics   *metrics
	cursors   *cursors
	snapshots *schedule
	totalAt   func(seq uint64) (uint64, bool)
	setFull   func(bool)
	due       func() bool // whether a snapshot is

	endOrphans func()
	idle       func() bool // whether that is somebody else's business

	// overfull says whether what lies behind the position that all destinations have
	// passed is too much for the ring; nil when it need not hold that.
	overfull func(passed uint64) bool
}

// keep works beside the commit loop until stop is closed.
func (h *house) keep(stop <-chan struct{}) {
	tick := time.NewTicker(houseInterval)
	defer tick.Stop()
	h.maintain() // lives that are all shorter than the interval would never keep the bounds
	for {
		select {
		case <-stop:
			h.cursors.sync()
			return
		case <-tick.C:
		case <-h.snapshots.house:
		}
		h.maintain()
	}
}

// maintain makes cursors durable, removes what nobody needs, keeps the bounds, and
// says when a snapshot is due.
func (h *house) maintain() {
	if h.idle() {
		return
	}
	h.endOrphans()
	h.cursors.sync()
	h.removePassed()
	h.keepBounds()
	if h.due() {
		poke(h.snapshots.due)
	}
}

// removePassed removes what every cursor has passed and every kept snapshot covers:
// with the older of two, a damaged snapshot costs nothing.
func (h *house) removePassed() {
	_, covered := h.covered()
	h.trim(min(covered, h.cursors.passed()))
}

// covered returns up to which sequence the newest snapshot has the state, and up to
// which every kept one has it.
func (h *house) covered() (newest, all uint64) {
	kept := h.store.Snapshots()
	if len(kept) > 0 {
		newest = kept[0].Seq
	}
	if len(kept) >= KeepSnapshots {
		all = kept[KeepSnapshots-1].Seq
	}
	return newest, all
}

// trim removes the oldest parts as far as they hold nothing behind seq.
func (h *house) trim(seq uint64) bool {
	err := h.store.Trim(seq)
	if h.nag.starts("trim", err) {
		h.log.Warn("cannot remove a segment", "err", err)
	}
	return err == nil
}

// keepBounds removes the oldest parts while the log is larger than it may be. What a
// destination still needs goes too, or with Reject nothing more is taken.
func (h *house) keepBounds() {
	full := h.ringFull()
	excess, err := h.store.Excess()
	if h.nag.starts("space", err) {
		h.log.Warn("cannot tell how much room the log takes", "err", err)
	}
	for excess > 0 {
		oldest, ok := h.store.Oldest()
		if !ok {
			break
		}
		newest, _ := h.covered()
		if oldest.Last > newest { // the state is nowhere else
			h.snapshots.want()
			break
		}
		passed, used := h.cursors.passedBy()
		needed := oldest.Last > passed
		if full = oldest.Last > used && h.onFull == Reject; full {
			break
		}
		if needed && !h.drop(oldest) || !needed && !h.trim(oldest.Last) {
			break
		}
		excess -= oldest.Bytes
	}
	h.setFull(full)
}

// ringFull is Reject where the ring is all there is.
func (h *house) ringFull() bool {
	_, passed := h.cursors.passedBy() // what only an orphan needs rejects nobody
	return h.overfull != nil && h.onFull == Reject && passed != math.MaxUint64 && h.overfull(passed)
}

// drop removes a part that a lagging destination still needs. The books at the
// destination's position are noted first, so that what it loses is counted exactly
// also after a restart.
func (h *house) drop(p Part) bool {
	acked := uint64(math.MaxUint64)
	for _, c := range h.cursors.opened() {
		if c.Acknowledged() >= p.Last {
			continue
		}
		acked = min(acked, c.Acknowledged())
		if err := c.noteBases(p.Last, h.totalAt); err != nil {
			h.log.Warn("cannot note the books of a cursor", "cursor", c.ID(), "err", err)
		}
	}
	before, _ := h.totalAt(acked)
	samples := minus(p.Total, max(before, p.Before))
	if !h.trim(p.Last) {
		return false
	}
	h.metrics.droppedParts.Inc()
	h.metrics.droppedSamples.Add(float64(samples))
	h.log.Error("dropped a segment at the bound: a destination lags and loses what is in it",
		"segment", p.Name, "first_seq", p.First, "last_seq", p.Last, "samples", samples)
	return true
}
