package group

import (
	"strings"
	"unicode/utf8"
)

const (
	maxQuoted = 200  // bytes of one text of somebody else in a message
	maxBrief  = 1000 // bytes of labels in a message, about
)

// Brief cuts text of somebody else to what a message may quote of it.
func Brief(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	n := maxQuoted
	for n > maxQuoted-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// Brief prints l as String does, but cut to what a message may quote.
func (l Labels) Brief() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, p := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		if b.Len() > maxBrief {
			b.WriteString("…")
			break
		}
		b.WriteString(Brief(p.Name))
		b.WriteByte('=')
		b.WriteString(quote(Brief(p.Value)))
	}
	b.WriteByte('}')
	return b.String()
}

// BriefMetric prints a metric as name{label="value"}, cut to what a message may quote.
func BriefMetric(name string, labels []Label) string {
	if len(labels) == 0 {
		return Brief(name)
	}
	return Brief(name) + Labels(labels).Brief()
}
