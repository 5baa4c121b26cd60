package group

import (
	"hash/fnv"
	"slices"
	"strings"
)

// Label is one name and value pair.
type Label struct{ Name, Value string }

// Labels are the grouping labels of a group, sorted by name, no name twice.
// They always hold "job", whose value is never empty.
type Labels []Label

// NewLabels sorts l by name in place and returns it as grouping labels. Of a
// repeated name the first pair in l is kept.
func NewLabels(l []Label) Labels {
	slices.SortStableFunc(l, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(l, func(a, b Label) bool { return a.Name == b.Name })
}

// Get returns the value of name, empty when absent.
func (l Labels) Get(name string) string {
	v, _ := l.Lookup(name)
	return v
}

// Lookup returns the value of name and whether l has it.
func (l Labels) Lookup(name string) (string, bool) {
	for i := range l { // few
		if l[i].Name == name {
			return l[i].Value, true
		}
	}
	return "", false
}

// Job returns the value of the job label: series of different groups can only
// meet when they share it.
func (l Labels) Job() string { return l.Get("job") }

// HashJob returns a hash of a job: what must stay in order shares it.
func HashJob(job string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(job))
	return h.Sum32()
}

// ID returns the grouping key as one string, for use as a map key. Two keys are
// equal exactly when their IDs are: the separator never occurs in valid UTF-8.
func (l Labels) ID() string {
	n := 0
	for _, p := range l {
		n += len(p.Name) + len(p.Value) + 2
	}
	var b strings.Builder
	b.Grow(n)
	for _, p := range l {
		b.WriteString(p.Name)
		b.WriteByte(0xff)
		b.WriteString(p.Value)
		b.WriteByte(0xff)
	}
	return b.String()
}

// String prints the grouping key as {job="a",instance="b"} in name order, for
// logs and messages.
func (l Labels) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, p := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(p.Name)
		b.WriteString(`=`)
		b.WriteString(quote(p.Value))
	}
	b.WriteByte('}')
	return b.String()
}

func quote(v string) string {
	v = strings.ReplaceAll(v, `\`, `\\`)
	v = strings.ReplaceAll(v, "\n", `\n`)
	return `"` + strings.ReplaceAll(v, `"`, `\"`) + `"`
}
