package receiver

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// timeLayout is how times are printed: fixed width, UTC, to the millisecond,
// which is all that a sample has.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

func printMillis(ms int64) string { return time.UnixMilli(ms).UTC().Format(timeLayout) }

// printSeries prints a label set as queries spell it: name{label="value"}.
func printSeries(labels []label) string {
	var b strings.Builder
	name := ""
	for _, l := range labels {
		if l.Name == model.MetricNameLabel {
			name = l.Value
		}
	}
	plain := model.LegacyValidation.IsValidMetricName(name)
	if plain {
		b.WriteString(name)
	}
	b.WriteByte('{')
	first := true
	if !plain && name != "" {
		b.WriteString(strconv.Quote(name))
		first = false
	}
	for _, l := range labels {
		if l.Name == model.MetricNameLabel {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.WriteString(printLabelName(l.Name))
		b.WriteByte('=')
		b.WriteString(strconv.Quote(l.Value))
	}
	b.WriteByte('}')
	return b.String()
}

func printLabelName(n string) string {
	if model.LegacyValidation.IsValidLabelName(n) {
		return n
	}
	return strconv.Quote(n)
}

// ValueString prints the value of s: "stale" for a stale marker, the buckets
// of a native histogram.
func (s *sample) ValueString() string {
	switch {
	case s.Stale():
		return "stale"
	case s.Int != nil:
		return s.Int.String()
	case s.Float != nil:
		return s.Float.String()
	}
	return strconv.FormatFloat(s.Value, 'g', -1, 64)
}

// line prints s as one line without its end: series, value, and with times the
// time of the sample and the one its series began.
func (s *sample) line(times bool) string {
	out := printSeries(s.Labels) + " " + s.ValueString()
	if !times {
		return out
	}
	out += " " + printMillis(s.Time)
	if s.Start != 0 {
		out += " since " + printMillis(s.Start)
	}
	return out
}
