package state

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pushbridge/pushbridge/group"
)

// checkKey refuses grouping keys that no view could show.
func checkKey(l group.Labels) error {
	if l.Job() == "" {
		return &group.InvalidError{Family: "", Err: errors.New("the job name is empty")}
	}
	for i, p := range l {
		switch {
		case p.Name == "" || strings.HasPrefix(p.Name, "__") || !utf8.ValidString(p.Name):
			return &group.InvalidError{Err: fmt.Errorf("invalid name %q of a grouping label", group.Brief(p.Name))}
		case !utf8.ValidString(p.Value):
			return &group.InvalidError{Err: fmt.Errorf("the value of grouping label %q is not valid UTF-8", group.Brief(p.Name))}
		case i > 0 && l[i-1].Name >= p.Name:
			panic("group: grouping labels that NewLabels has not seen")
		}
	}
	return nil
}

// checkGroups refuses a group too many. A group that a large change is about to make
// counts once it is there.
func (t *turn) checkGroups(old *group.Group) error {
	limit := t.s.o.MaxGroups
	if limit == 0 || old != nil || len(t.s.pending.entries) < limit {
		return nil
	}
	if l := t.s.gate.large; l != nil && l.old == nil {
		return errUnderWay
	}
	return fmt.Errorf("%w: there are %d groups already", group.ErrLimit, limit)
}

// checkSize refuses a group that would be too large.
func (o *Options) checkSize(old *group.Group, r *group.Record) error {
	limit := o.MaxSeriesPerGroup
	if limit == 0 || r.Part == nil || r.Merge.Some {
		return nil
	}
	n := r.Part.Shape.Samples()
	if old != nil && r.Kind == group.KindPost {
		n = old.Samples()
		for _, m := range r.Members {
			n += m.Samples()
			if o, ok := old.Member(m.Of().Name); ok {
				n -= o.Samples()
			}
		}
	}
	if n > limit {
		return fmt.Errorf("%w: the group would have %d series, at most %d are allowed", group.ErrLimit, n, limit)
	}
	return nil
}
