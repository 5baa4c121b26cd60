package group

import (
	"errors"
	"fmt"
)

// ErrAbsent is the answer to the deletion of a group that does not exist.
var ErrAbsent = errors.New("no such group")

// ErrLimit is wrapped by the errors of changes that would exceed a limit.
var ErrLimit = errors.New("limit exceeded")

// ErrNewer is wrapped in the error for bytes that a newer version wrote: they are not
// damaged, and this version cannot say what they mean.
var ErrNewer = errors.New("written by a newer version")

// ErrTwice is the reason for a series that one push has twice.
var ErrTwice = errors.New("was pushed twice with the same name and labels")

// ErrTimestamp is wrapped by the InvalidError of a push with an explicit
// timestamp.
var ErrTimestamp = errors.New("pushed metrics must not have timestamps")

// InvalidError says why a push was refused on its own account, whatever else is
// stored.
type InvalidError struct {
	Family string // name of the metric family, empty when the group is meant
	Metric string // the metric as name{label="value"}, cut if long, empty when the whole family is meant
	Err    error
}

func (e *InvalidError) Error() string {
	switch {
	case e.Metric != "":
		return fmt.Sprintf("metric %s: %v", e.Metric, e.Err)
	case e.Family != "":
		return fmt.Sprintf("metric family %q: %v", Brief(e.Family), e.Err)
	default:
		return e.Err.Error()
	}
}

func (e *InvalidError) Unwrap() error { return e.Err }

// ConflictError says what a push collided with.
type ConflictError struct {
	Family string // name of the pushed metric family
	Metric string // the pushed metric as name{label="value"}, cut if long, empty when the whole family is meant
	Other  Labels // the group it collides with; nil: the gateway's own metrics, or not known
	Reason string
}

func (e *ConflictError) Error() string {
	what := fmt.Sprintf("metric family %q", Brief(e.Family))
	if e.Metric != "" {
		what = "metric " + e.Metric
	}
	if e.Other == nil {
		return what + " " + e.Reason
	}
	return what + " " + e.Reason + " in group " + e.Other.Brief()
}
