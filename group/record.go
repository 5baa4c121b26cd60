package group

import "math/bits"

// Rough sizes on the heap, for the bounds that are counted in bytes.
const (
	recordBytes = 256
	labelBytes  = 32 // without the text
	memberBytes = 16
	endedBytes  = 104
)

// Kind says what a Record does. The values are written to disk.
type Kind uint8

// The kinds. Refresh is ephemeral: it passes through the log's order and ring,
// and is never stored.
const (
	KindPut     Kind = 1 // replaces the group's metrics
	KindPost    Kind = 2 // replaces families of the same name
	KindDelete  Kind = 3 // the group ends
	KindFail    Kind = 4 // a refused push: only the failure time changes
	KindClock   Kind = 5 // a clock mark: carries nothing but Time
	KindRefresh Kind = 6 // the group's unchanged metrics at a new time
)

// Record is one change of one group, self-contained: what a destination sends
// for it follows from the record alone. Records are immutable once enqueued.
type Record struct {
	Kind   Kind
	Labels Labels // grouping labels; nil for KindClock
	Time   int64  // assigned timestamp in ms: of every sample and marker

	// Push and Fail are the group's push times after the change, in nanoseconds
	// since the epoch, 0 for never: push_time_seconds and
	// push_failure_time_seconds. Both are shipped with every record that leaves
	// the group alive.
	Push, Fail int64

	// Hide says which of the two the record must not ship: another group's
	// series has the same identity at delivery, or a family that a push stored as
	// push_failure_time_seconds stands in for the group's own.
	Hide Own

	// TTL is how long the group lives after this push, in nanoseconds; 0 means
	// until it is deleted.
	TTL int64

	// Expect is how often the group is expected to be pushed, in nanoseconds. When
	// it is not 0, the record ships whether the group is overdue.
	Expect int64

	// Last is, for KindRefresh, the timestamp of the group's last stored record.
	Last int64

	// Part is what was pushed: all families for KindPut, the replaced and new
	// ones for KindPost, nil otherwise. It may have no families.
	Part *Part

	// Members are the families that the record ships: all of Part's for a push,
	// all of the group's for KindRefresh. A family that the push itself stored
	// as push_failure_time_seconds is among them.
	Members []Member

	// Ended are the components that the group had before and no longer has.
	Ended []Ended

	Merge Merge // of a push that was added to others

	// Generation is that of the state that the record was made from: the log refuses
	// it when records of that generation have failed. It is not written.
	Generation uint64

	prepared *prepared // see Prepare; nil as a rule
}

// ShipsOverdue reports whether the record ships pushbridge_group_overdue.
func (r *Record) ShipsOverdue() bool { return ShipsOverdue(r.Expect, r.Hide) }

// ShipsOverdue reports whether a group ships pushbridge_group_overdue: the series has
// the labels of push_time_seconds, and so it is delivered exactly when that is.
func ShipsOverdue(expect int64, hide Own) bool { return expect > 0 && hide&OwnPushTime == 0 }

// Overdue reports whether a group that is expected every so many ns was not
// pushed to in time: never, or too long ago. now and push are in ns since the
// epoch.
func Overdue(now, push, expect int64) bool { return expect > 0 && (push == 0 || now-push > expect) }

// Own names the group's own series.
type Own uint8

// The group's own series: push_time_seconds and push_failure_time_seconds.
const (
	OwnPushTime Own = 1 << iota
	OwnFailTime
)

// Samples returns the number of samples that r stands for before relabelling,
// in the unit in which a destination's books are kept: one for each component of
// each member (those that are not sent included) and of each ended metric, and
// one for each of the group's own series that r ships.
func (r *Record) Samples() int {
	if r.prepared != nil {
		return r.prepared.samples
	}
	n := 0
	for _, m := range r.Members {
		n += m.Samples()
	}
	if r.Kind != KindClock && r.Kind != KindDelete {
		n += 2 - bits.OnesCount8(uint8(r.Hide))
		if r.ShipsOverdue() {
			n++
		}
	}
	for i := range r.Ended {
		n += r.Ended[i].Samples()
	}
	return n
}

// Size returns roughly how many bytes of heap r keeps alive.
func (r *Record) Size() int {
	if r.prepared != nil {
		return r.prepared.size
	}
	n := recordBytes + labelsSize(r.Labels)
	if r.Part != nil {
		n += r.Part.size()
	}
	n += len(r.Members) * memberBytes
	for i := range r.Ended {
		e := &r.Ended[i]
		n += endedBytes + len(e.Family) + len(e.Unit) + labelsSize(e.Labels) + 8*len(e.Bounds)
	}
	return n
}

// labelsSize returns how many bytes labels and their text take.
func labelsSize(labels []Label) int {
	n := labelBytes * len(labels)
	for i := range labels {
		n += len(labels[i].Name) + len(labels[i].Value)
	}
	return n
}

// Member is one live family of a group: family number Family of Part's shape.
type Member struct {
	Part   *Part
	Family uint32
}

// Of returns the family that m refers to.
func (m Member) Of() *Family { return &m.Part.Shape.families[m.Family] }

// Metrics returns the metrics of the family that m refers to.
func (m Member) Metrics() []Metric { return m.Part.Shape.Metrics(m.Of()) }

// Samples returns how many samples the metrics of m expand to, see
// Shape.Samples.
func (m Member) Samples() int { return int(m.Of().samples) }

// Ended names components of one metric that ended, at some destinations at
// least. Time series that live on everywhere under the same name, labels, type and
// unit are not in it. Sum and count are in it with each native histogram: a
// receiver without any may have made them of it.
type Ended struct {
	Family string
	Unit   string  // a receiver may take it for a part of the series' identity
	Type   Type    // decides the component names, see convert
	Labels []Label // the metric's own labels
	Bounds []float64
	What   Component // which components ended; Bounds go with ComponentBounds
	Float  bool      // the native histogram was a float histogram
	Beside bool      // the metric had a native form: destinations that were sent that alone had nothing else
}

// Samples returns how many series e names.
func (e *Ended) Samples() int {
	n := countComponents(e.What)
	if e.What&ComponentBounds != 0 {
		n += len(e.Bounds) - 1
	}
	return n
}

// Component is a set of the series that one metric expands to.
type Component uint8

// The components. ComponentInf is the +Inf bucket that a push left out.
const (
	ComponentValue  Component = 1 << iota // the plain value of a counter, gauge or untyped
	ComponentSum                          // name_sum
	ComponentCount                        // name_count
	ComponentBounds                       // name_bucket{le} or name{quantile}, one per bound
	ComponentInf                          // name_bucket{le="+Inf"}, when it is not in Bounds
	ComponentNative                       // the native histogram, under the family's name
)

func countComponents(c Component) int { return bits.OnesCount8(uint8(c)) }
