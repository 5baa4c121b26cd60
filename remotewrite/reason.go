package remotewrite

import (
	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/queue"
)

// outcome is what became of samples. The first two places are those that were not
// dropped, the others have a reason each. Cursors on disk have it too, so the places
// never change; docs/queue-format.md lists them.
type outcome = queue.Outcome

const (
	placeDelivered = iota
	placeInDoubt
	placeDropped // and those behind it
)

// reason says why samples were dropped, and is their place in an outcome: a new one
// gets the next free. The names are values of the label reason; where Prometheus has a
// name for the case, it is that one.
type reason uint8

const (
	// Before sending.
	droppedSeries     reason = iota + placeDropped // by write_relabel_configs
	tooOld                                         // sample_age_limit
	clockAhead                                     // timestamp more than ten minutes ahead
	duplicateIdentity                              // another series has the same labels, and is sent
	duplicateSeries                                // the same, but only after relabelling
	nativeNotSent                                  // native histogram, and the destination takes none
	classicNotSent                                 // classic form of a histogram that is sent as a native one
	nhcbNotSupported                               // custom buckets, and 1.0
	markerNotNeeded                                // stale marker of a series that lives on
	noName                                         // relabelling left no metric name
	invalidLabel                                   // relabelling made a label that is not UTF-8

	// By the receiver's answer.
	refusedSamples // 400, 409, 413, 422
	rejectedBatch  // 401, 403, 404 and other 4xx
	rateLimited    // 429 with retry_on_http_429: false
	redirected     // 3xx that may not be followed
	notUnderstood  // 2.0 is pinned and the receiver does not know it
	notWritten     // 2xx, but the written headers say less
	badAnswer      // nothing that HTTP knows

	// Never read.
	gapDropped // the log's bound on disk space
	gapDamaged // damaged on disk
	gapMissing // segments gone

	serverError // 500 again and again, while others succeed

	numReasons
)

var reasonNames = [numReasons]string{
	droppedSeries:     "dropped_series",
	tooOld:            "too_old",
	clockAhead:        "clock_ahead",
	duplicateIdentity: "duplicate_identity",
	duplicateSeries:   "duplicate_series",
	nativeNotSent:     "native_not_sent",
	classicNotSent:    "classic_not_sent",
	nhcbNotSupported:  "nhcb_in_rw1_not_supported",
	markerNotNeeded:   "marker_not_needed",
	noName:            "no_metric_name",
	invalidLabel:      "invalid_label",
	refusedSamples:    "refused",
	rejectedBatch:     "rejected",
	rateLimited:       "rate_limited",
	redirected:        "redirected",
	notUnderstood:     "not_understood",
	notWritten:        "not_written",
	badAnswer:         "bad_answer",
	gapDropped:        "disk_bound",
	gapDamaged:        "damaged",
	gapMissing:        "missing",
	serverError:       "server_error",
}

// String returns the label value.
func (r reason) String() string { return reasonNames[r] }

// quiet reasons are what was asked for, or cost nothing: they are counted and
// not logged.
func (r reason) quiet() bool {
	return r == droppedSeries || r == duplicateIdentity || r == classicNotSent || r == markerNotNeeded
}

// failed says whether the samples were sent before they were given up.
func (r reason) failed() bool { return r >= refusedSamples && r <= badAnswer || r == serverError }

// reasonOfSkip translates what convert says.
func reasonOfSkip(r convert.Reason) reason {
	switch r {
	case convert.NativeNotSent:
		return nativeNotSent
	case convert.ClassicNotSent:
		return classicNotSent
	case convert.DuplicateIdentity:
	}
	return duplicateIdentity
}

// reasonOfGap translates what the log says.
func reasonOfGap(g queue.GapReason) reason {
	switch g {
	case queue.GapDamaged:
		return gapDamaged
	case queue.GapMissing:
		return gapMissing
	case queue.GapDropped:
	}
	return gapDropped
}

// allReasons are those that samples can be dropped for.
func allReasons(yield func(reason) bool) {
	for r := reason(placeDropped); r < numReasons && yield(r); r++ {
	}
}

// dropped returns what of o was dropped, by the name of the reason.
func dropped(o *outcome) map[string]uint64 {
	names := make(map[string]uint64)
	for r := range allReasons {
		if n := o[r]; n > 0 {
			names[r.String()] = n
		}
	}
	return names
}
