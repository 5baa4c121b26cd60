package client

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// A push has one point of each metric. An OpenMetrics text that is a history has more, each
// with a time; split makes as many texts of it, to be pushed one after the other.

// history is such a text, taken apart.
type history struct {
	families []*pointFamily
	byName   map[string]*pointFamily
	most     int // points of one metric
}

type pointFamily struct {
	name, kind string
	head       []string // its lines that begin with #
	metrics    []*pointMetric
	byLabels   map[string]*pointMetric
}

type pointMetric struct{ points []point }

// point is all samples of a metric at one time.
type point struct {
	time  float64
	lines []string
}

// split returns texts in which no metric has two points, so that pushed in this order each
// series' samples come in that of their times. The last one has the newest of all. A text that
// is no history, or not OpenMetrics, is returned as it is: what is wrong with it the gateway
// knows to say.
func split(body []byte) [][]byte {
	if contentType(body) != ContentTypeOpenMetrics {
		return [][]byte{body}
	}
	h, ok := readHistory(string(body))
	if !ok || h.most < 2 {
		return [][]byte{body}
	}
	texts := make([][]byte, h.most)
	for i := range texts {
		texts[i] = h.text(h.most - i)
	}
	return texts
}

// readHistory reports whether every line is understood and every sample has a time.
func readHistory(text string) (h history, ok bool) {
	h.byName = map[string]*pointFamily{}
	var f *pointFamily
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "# EOF" {
			break
		}
		if words := strings.SplitN(line, " ", 4); words[0] == "#" && len(words) > 2 {
			f = h.family(words[2])
			f.head = append(f.head, line)
			if words[1] == "TYPE" && len(words) == 4 {
				f.kind = words[3]
			}
			continue
		}
		s, ok := readSample(line)
		if !ok {
			return h, false
		}
		if f != nil && f.has(s.name) {
			f.put(s, line)
		} else {
			h.family(s.name).put(s, line)
		}
	}
	for _, f := range h.families {
		for _, m := range f.metrics {
			m.order()
			h.most = max(h.most, len(m.points))
		}
	}
	return h, true
}

// family returns the family of that name, which may have come before.
func (h *history) family(name string) *pointFamily {
	f := h.byName[name]
	if f == nil {
		f = &pointFamily{name: name, byLabels: map[string]*pointMetric{}}
		h.families, h.byName[name] = append(h.families, f), f
	}
	return f
}

// suffixes are those of the samples that make one metric together, by type. Of others a
// sample with the name of the family is one.
func suffixes(kind string) []string {
	switch kind {
	case "counter":
		return []string{"_total", "_created"}
	case "info":
		return []string{"_info"}
	case "summary":
		return []string{"", "_sum", "_count", "_created"}
	case "histogram":
		return []string{"_bucket", "_sum", "_count", "_created"}
	case "gaugehistogram":
		return []string{"_bucket", "_gsum", "_gcount"}
	}
	return []string{""}
}

// has reports whether a sample of that name is one of f's.
func (f *pointFamily) has(sample string) bool {
	suffix, ok := strings.CutPrefix(sample, f.name)
	return ok && slices.Contains(suffixes(f.kind), suffix)
}

func (f *pointFamily) put(s pointSample, line string) {
	own := slices.DeleteFunc(s.labels, func(l string) bool { return f.isPart(l[:strings.IndexByte(l, '=')]) })
	slices.Sort(own)
	key := strings.Join(own, ",")
	m := f.byLabels[key]
	if m == nil {
		m = &pointMetric{}
		f.byLabels[key] = m
		f.metrics = append(f.metrics, m)
	}
	m.points = append(m.points, point{s.time, []string{line}})
}

// order sorts the points by time, and makes one of those that have the same.
func (m *pointMetric) order() {
	slices.SortStableFunc(m.points, func(a, b point) int { return cmp.Compare(a.time, b.time) })
	ordered := m.points[:0]
	for _, p := range m.points {
		if n := len(ordered); n > 0 && ordered[n-1].time == p.time {
			ordered[n-1].lines = append(ordered[n-1].lines, p.lines...)
			continue
		}
		ordered = append(ordered, p)
	}
	m.points = ordered
}

// isPart reports whether a label tells the samples of one point apart.
func (f *pointFamily) isPart(label string) bool {
	switch f.kind {
	case "histogram", "gaugehistogram":
		return label == "le"
	case "summary":
		return label == "quantile"
	case "stateset":
		return label == f.name
	}
	return false
}

// text has the points that have back-1 newer ones.
func (h *history) text(back int) []byte {
	var b bytes.Buffer
	for _, f := range h.families {
		head := f.head
		for _, m := range f.metrics {
			if len(m.points) < back {
				continue
			}
			lines := m.points[len(m.points)-back].lines
			for _, line := range slices.Concat(head, lines) {
				b.WriteString(line)
				b.WriteByte('\n')
			}
			head = nil
		}
	}
	b.WriteString("# EOF\n")
	return b.Bytes()
}

// pointSample is a line of a sample that has a time.
type pointSample struct {
	name   string
	labels []string // each as in the text, name="value"
	time   float64
}

// readSample reads name{labels} value time, and whatever may follow.
func readSample(line string) (s pointSample, ok bool) {
	end := strings.IndexAny(line, "{ ")
	if end <= 0 {
		return s, false
	}
	s.name, line = line[:end], line[end:]
	if line[0] == '{' {
		if s.labels, line, ok = readLabels(line[1:]); !ok {
			return s, false
		}
	}
	values := strings.SplitN(line, " ", 4) // the first is empty
	if len(values) < 3 || values[0] != "" {
		return s, false
	}
	t, err := strconv.ParseFloat(values[2], 64)
	s.time = t
	return s, err == nil
}

// readLabels reads up to the closing brace, and returns what is behind it.
func readLabels(text string) (labels []string, rest string, ok bool) {
	begin, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == '}'):
			if label := text[begin:i]; strings.Contains(label, "=") {
				labels = append(labels, label)
			} else if label != "" {
				return nil, "", false // a name in quotes
			}
			begin = i + 1
			if c == '}' {
				return labels, text[begin:], true
			}
		}
	}
	return nil, "", false
}
