package convert

import (
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pushbridge/pushbridge/group"
)

// Series is one sample with the label set it belongs to, before external labels
// and relabelling.
type Series struct {
	Labels []group.Label // sorted by name, __name__ included, no empty values
	Time   int64         // ms since the epoch
	Value  float64       // meaningless when Hist or FloatHist is set

	// Hist and FloatHist hold a native histogram: at most one is set. Their
	// slices are shared with the record. Read only.
	Hist      *histogram.Histogram
	FloatHist *histogram.FloatHistogram

	Start     int64      // created timestamp in ms, 0 when there is none
	Exemplars []Exemplar // oldest first
	Family    FamilyInfo
	Stale     bool // a stale marker
	Made      bool // a marker of what a receiver may have made of a native histogram; that one's follows
	Late      bool // pushed with a time that is not newer than the series had before

	Record uint32 // the caller's own, to know again which record it came from; 0 here
	Known  *Known // the caller's own, what it knows of Labels; nil here
}

// Known is what is worked out once of a label set that comes with many records.
type Known struct {
	Hash uint64
	Size int    // of the labels in a TimeSeries of remote write 1.0, in bytes
	Wire []byte // those, where 1.0 is spoken; for 2.0 their places in Symbols, names and values by turns

	// Symbols has each text of the labels once, with those of the record's other series. It is nil
	// for 1.0, and where there are too many.
	Symbols *[]string
}

// FamilyInfo is the metadata of a family. Each component series of a summary or
// histogram carries that of the whole. Stale markers have no Help.
type FamilyInfo struct {
	Name, Help, Unit string
	Type             group.Type
}

// Exemplar is one exemplar of a series.
type Exemplar struct {
	Labels []group.Label // sorted by name, at most 128 runes in all
	Value  float64
	Time   int64 // ms since the epoch
}

// Options say what a destination takes.
type Options struct {
	// SendNative sends native histograms. Without it only the classic buckets
	// of a histogram go out, and a purely native one is skipped.
	SendNative bool
	// AlsoClassic sends the classic buckets of a histogram beside its native
	// form, instead of the native form alone. It matters only with SendNative.
	AlsoClassic bool
	// Typed says that type and unit go along with every series: a receiver may take
	// them for labels.
	Typed bool
	// MadeClassic says that a receiver may have made name_sum and name_count of a
	// native histogram, as those do that have none (VictoriaMetrics). Its own
	// marker gives name_count a last value there, so it goes a millisecond ahead.
	MadeClassic bool
}

// Reason says why samples of a record were not converted.
type Reason uint8

// The reasons. The samples that the gateway itself adds count like pushed ones.
const (
	DuplicateIdentity Reason = iota // another series has the same labels and is sent
	NativeNotSent                   // native histogram, and the destination takes none
	ClassicNotSent                  // classic series of a histogram that goes out as a native one
	numReasons
)

// Skipped counts, by Reason, the samples of a record that were not converted, in
// the unit of Record.Samples.
type Skipped [numReasons]int

// Total is the sum over all reasons.
func (s Skipped) Total() int {
	n := 0
	for _, v := range s {
		n += v
	}
	return n
}

// Converter converts records and reuses its memory from one Reset to the next.
// It is not safe for concurrent use. The zero value is ready.
type Converter struct {
	labels    slab[group.Label]
	exemplars slab[Exemplar]
	spans     slab[histogram.Span]
	hists     slab[histogram.Histogram]
	floats    slab[histogram.FloatHistogram]

	bounds boundCache
	names  nameCache
	marks  labelSets

	// Of the record at hand.
	o     Options
	time  int64
	bare  bool          // label sets are known: make none
	fixed []group.Label // grouping labels and __name__, sorted
	name  int           // where __name__ stands in fixed
	own   []group.Label // scratch: a metric's own labels
}

// Reset makes the memory of everything returned so far available again.
func (c *Converter) Reset() {
	c.labels.reset()
	c.exemplars.reset()
	c.spans.reset()
	c.hists.reset()
	c.floats.reset()
}

// Append appends the samples of r to dst: those of its members, then
// push_time_seconds and push_failure_time_seconds of the group while it lives.
func (c *Converter) Append(dst []Series, r *group.Record, o Options) ([]Series, Skipped) {
	var skipped Skipped
	c.begin(r, o)
	for _, m := range r.Members {
		dst = c.appendMember(dst, m, &skipped)
	}
	return c.appendPushTimes(dst, r), skipped
}

// AppendBare is Append for a caller that has the label sets: the same series in the
// same order, without Labels. Which those are follows from the record's grouping
// labels, Hide, whether it ships that the group is overdue, and of each member the
// shape and the family, while no part has Unsent.
func (c *Converter) AppendBare(dst []Series, r *group.Record, o Options) ([]Series, Skipped) {
	c.bare = true
	defer func() { c.bare = false }()
	return c.Append(dst, r, o)
}

// begin sets what is the same for every metric of r.
func (c *Converter) begin(r *group.Record, o Options) {
	c.o, c.time = o, r.Time
	if !c.bare {
		c.setGrouping(r.Labels)
	}
}
