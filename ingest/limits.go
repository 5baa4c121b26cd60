package ingest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// Flags that the texts of refusals name. The binary defines them.
const (
	FlagMaxBodyBytes     = "push.max-body-bytes"
	FlagMaxDecodedBytes  = "push.max-decoded-bytes"
	FlagMaxInFlightBytes = "push.max-inflight-bytes"
	FlagRefusedBytes     = "push.refused-memory"
	FlagShapeCacheBytes  = "push.shape-cache-bytes"
	FlagMaxGroups        = "push.max-groups"
	FlagMaxSeries        = "push.max-series-per-group"
	FlagMaxLabels        = "push.max-labels-per-series"
	FlagMaxLabelLength   = "push.max-label-length"
)

// Limits bounds what pushes may ask for. The zero value stands for the
// defaults; unlimited is what Pushgateway is, in number and length.
type Limits struct {
	MaxBodyBytes     int64 // of a body as sent; default 64 MiB
	MaxDecodedBytes  int64 // of a body after decompression; default 256 MiB
	MaxInFlightBytes int64 // estimated memory of all pushes being read and parsed; default 1 GiB

	// The store keeps these two, see state.Options; here they are for messages.
	MaxGroups int // 0: unlimited
	MaxSeries int // samples of one group; 0: unlimited

	MaxLabels      int // of a series, and of a grouping key; 0: unlimited
	MaxLabelLength int // bytes of a label's name or value; 0: unlimited
}

// The defaults of Limits.
const (
	DefaultMaxBodyBytes     = 64 << 20
	DefaultMaxDecodedBytes  = 256 << 20
	DefaultMaxInFlightBytes = 1 << 30
)

func (l Limits) withDefaults() Limits {
	if l.MaxBodyBytes == 0 {
		l.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if l.MaxDecodedBytes == 0 {
		l.MaxDecodedBytes = DefaultMaxDecodedBytes
	}
	if l.MaxInFlightBytes == 0 {
		l.MaxInFlightBytes = DefaultMaxInFlightBytes
	}
	return l
}

// Validate names the flag whose value cannot work.
func (l Limits) Validate() error {
	for _, v := range []struct {
		flag  string
		value int64
	}{
		{FlagMaxBodyBytes, l.MaxBodyBytes},
		{FlagMaxDecodedBytes, l.MaxDecodedBytes},
		{FlagMaxInFlightBytes, l.MaxInFlightBytes},
		{FlagMaxGroups, int64(l.MaxGroups)},
		{FlagMaxSeries, int64(l.MaxSeries)},
		{FlagMaxLabels, int64(l.MaxLabels)},
		{FlagMaxLabelLength, int64(l.MaxLabelLength)},
	} {
		if v.value < 0 {
			return fmt.Errorf("--%s must not be negative, is %d", v.flag, v.value)
		}
	}
	return nil
}

// checkKey refuses grouping labels that are too many or too long. They come with
// the path, so the refusal leaves no trace.
func (l Limits) checkKey(key group.Labels) error {
	if l.MaxLabels > 0 && len(key) > l.MaxLabels {
		return pathErrorf("the path has %d labels, at most %d are allowed (--%s)", len(key), l.MaxLabels, FlagMaxLabels)
	}
	if l.MaxLabelLength == 0 {
		return nil
	}
	for _, p := range key {
		if n := max(len(p.Name), len(p.Value)); n > l.MaxLabelLength {
			return pathErrorf("label %q in the path has %d bytes, at most %d are allowed (--%s)", group.Brief(p.Name), n, l.MaxLabelLength, FlagMaxLabelLength)
		}
	}
	return nil
}

// flags names those that set the limits in force on what the state takes.
func (l Limits) flags() string {
	var set []string
	for _, v := range []struct {
		flag  string
		value int
	}{{FlagMaxGroups, l.MaxGroups}, {FlagMaxSeries, l.MaxSeries}, {FlagMaxLabels, l.MaxLabels}, {FlagMaxLabelLength, l.MaxLabelLength}} {
		if v.value > 0 {
			set = append(set, fmt.Sprintf("--%s=%d", v.flag, v.value))
		}
	}
	return " (limits: " + strings.Join(set, ", ") + ")"
}

// MalformedError is a request that cannot be understood. It is answered 400 and
// leaves no trace in the state.
type MalformedError struct {
	Part string // "path", "query" or "body"
	Err  error
}

func (e *MalformedError) Error() string { return e.Err.Error() }
func (e *MalformedError) Unwrap() error { return e.Err }

// TooLargeError is a body that passes a bound whatever else is going on.
type TooLargeError struct {
	What  string // "body", "decompressed body", ...
	Limit int64
	Flag  string // that sets the bound
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s exceeds the limit of %d bytes: push less at a time, or start the gateway with a larger --%s",
		e.What, e.Limit, e.Flag)
}

// SlowError is a body that stood still for too long.
type SlowError struct {
	Bytes int64 // that had come
	After time.Duration
}

func (e *SlowError) Error() string {
	return fmt.Sprintf("the body stood still: %d bytes came in %s", e.Bytes, e.After.Round(time.Millisecond))
}

// ErrInFlight says that the pushes being worked on leave no memory for one more.
var ErrInFlight = errors.New("too many pushes in flight: try again (--" + FlagMaxInFlightBytes + " is the bound)")
