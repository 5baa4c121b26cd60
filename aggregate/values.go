package aggregate

import (
	"errors"
	"fmt"
	"math"

	"github.com/pushbridge/pushbridge/group"
)

// op is what becomes of a metric that is pushed again.
type op uint8

const (
	add     op = iota
	count      // as add, of what only grows
	replace    // the newest counts
	largest
	smallest
)

// opOf says what becomes of the metrics of f. A gauge histogram has no order, and
// a failure time no sum.
func opOf(f *group.Family, how *group.Aggregation) op {
	switch f.Type {
	case group.Counter:
		return count
	case group.Summary, group.Histogram:
		return add
	case group.GaugeHistogram:
		if how.Gauges == group.GaugeSum {
			return add
		}
		return replace
	case group.Gauge, group.Untyped:
	}
	if f.Name == group.FailTimeName {
		return replace
	}
	return gaugeOps[how.Gauges]
}

var gaugeOps = [...]op{group.GaugeLast: replace, group.GaugeSum: add, group.GaugeMax: largest, group.GaugeMin: smallest}

// values adds the slots of a metric to those in to, which are laid out alike.
func (o op) values(form group.Form, to, pushed []uint64) error {
	for i, v := range pushed {
		if !form.FloatSlot(i) {
			n := to[i] + v
			if n < v && o != replace {
				return fmt.Errorf("the count would be too large: it is %d", to[i])
			}
			to[i] = choose(o == replace, v, n)
			continue
		}
		sum, err := o.float(math.Float64frombits(to[i]), math.Float64frombits(v))
		if err != nil {
			return err
		}
		to[i] = choose(o == replace, v, math.Float64bits(sum))
	}
	return nil
}

func choose[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

// float combines two values. What is not a number is neither the largest nor the smallest.
func (o op) float(old, pushed float64) (float64, error) {
	switch o {
	case count:
		return old + pushed, countable(pushed)
	case add:
		return old + pushed, nil
	case largest:
		if math.IsNaN(old) || pushed > old {
			return pushed, nil
		}
		return old, nil
	case smallest:
		if math.IsNaN(old) || pushed < old {
			return pushed, nil
		}
		return old, nil
	case replace:
	}
	return pushed, nil
}

var errNaN = errors.New("is not a number: a counter that is added up would be none for ever")

// countable refuses what would spoil a sum.
func countable(v float64) error {
	switch {
	case math.IsNaN(v):
		return errNaN
	case v < 0:
		return fmt.Errorf("is %g: a counter that is added up must not be negative", v)
	}
	return nil
}
