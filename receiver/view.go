package receiver

import (
	"cmp"
	"net/url"
	"slices"
)

// sampleView is one sample as the receiver's JSON shows it.
type sampleView struct {
	Labels map[string]string `json:"labels,omitempty"`
	Time   int64             `json:"time"` // ms since the epoch
	Start  int64             `json:"start,omitempty"`
	Value  string            `json:"value"` // "stale" for a stale marker
	Stale  bool              `json:"stale,omitempty"`
	Native bool              `json:"native,omitempty"`

	seq uint64
}

// seriesView is one series as the receiver's JSON shows it.
type seriesView struct {
	Series  string            `json:"series"`
	Labels  map[string]string `json:"labels"`
	Samples int               `json:"samples"` // held ones
	Last    *sampleView       `json:"last,omitempty"`
}

func viewSample(s sample, seq uint64) sampleView {
	return sampleView{
		Time: s.Time, Start: s.Start, Value: s.ValueString(), Stale: s.Stale(), Native: s.Native(), seq: seq,
	}
}

// Samples returns the held samples of the series that match, in order of
// arrival.
func (s *store) Samples(match url.Values) []sampleView {
	s.mu.Lock()
	defer s.mu.Unlock()
	views := []sampleView{}
	for _, series := range s.series {
		if !hasLabels(series.labels, match) {
			continue
		}
		labels := labelMap(series.labels)
		for i := range series.points {
			v := viewSample(series.sample(&series.points[i]), series.points[i].seq)
			v.Labels = labels
			views = append(views, v)
		}
	}
	slices.SortFunc(views, func(a, b sampleView) int { return cmp.Compare(a.seq, b.seq) })
	return views
}

// Series returns the series that match, by name.
func (s *store) Series(match url.Values) []seriesView {
	s.mu.Lock()
	defer s.mu.Unlock()
	views := []seriesView{}
	for _, series := range s.series {
		if !hasLabels(series.labels, match) {
			continue
		}
		v := seriesView{Series: printSeries(series.labels), Labels: labelMap(series.labels), Samples: len(series.points)}
		if n := len(series.points); n > 0 {
			last := viewSample(series.sample(&series.points[n-1]), 0)
			v.Last = &last
		}
		views = append(views, v)
	}
	slices.SortFunc(views, func(a, b seriesView) int { return cmp.Compare(a.Series, b.Series) })
	return views
}

// hasLabels tells whether labels hold each pair that is asked for; an empty value
// asks for a label that is absent.
func hasLabels(labels []label, want url.Values) bool {
	for name := range want {
		i := slices.IndexFunc(labels, func(l label) bool { return l.Name == name })
		got := ""
		if i >= 0 {
			got = labels[i].Value
		}
		if !slices.Contains(want[name], got) {
			return false
		}
	}
	return true
}

func labelMap(labels []label) map[string]string {
	m := make(map[string]string, len(labels))
	for _, l := range labels {
		m[l.Name] = l.Value
	}
	return m
}
