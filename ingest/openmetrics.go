package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/pushbridge/pushbridge/group"
)

// isOpenMetrics reports whether a request says that its body is OpenMetrics text.
// Pushgateway takes that for its own text format, in which # EOF is a comment.
func isOpenMetrics(r *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && mediaType == "application/openmetrics-text"
}

func (b *bodyParser) openMetrics(r *http.Request, body []byte, l *lease) (*group.Part, error) {
	done, err := b.turn(l, openMetricsFactor*textCost(body))
	if err != nil {
		return nil, err
	}
	defer done()
	families, err := parseOpenMetrics(body, b.utf8Names, b.limits.MaxLabels)
	if err != nil {
		return nil, hintEncoding(r, body, err)
	}
	return group.FromDTO(families, b.options())
}

// openMetricsFactor is how many times what text costs this does: samples are held until
// their family ends, and then as messages too.
const openMetricsFactor = 2

// parseOpenMetrics parses OpenMetrics text with Prometheus' own parser, so that what it
// refuses is refused here. What it takes comes out as the series that a scrape stores,
// in families as the text format has them: counters are named by their sample, info
// and state sets are gauges. Times of creation are those of their metrics, not series.
func parseOpenMetrics(b []byte, utf8Names bool, maxLabels int) ([]*dto.MetricFamily, error) {
	if at, n := firstBeyond(b, maxLabels); at >= 0 {
		return nil, beyondLabels(b, at, n, maxLabels)
	}
	o := omReader{utf8Names: utf8Names, parser: textparse.NewOpenMetricsParser(b, labels.NewSymbolTable()), at: map[string]*omFamily{}}
	for line := 1; ; line++ {
		entry, err := o.parser.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = o.entry(entry)
		}
		if err != nil {
			return nil, bodyErrorf("OpenMetrics parsing error in line %d: %w%s", line, err, omHint(b, err))
		}
	}
	var families []*dto.MetricFamily
	for _, f := range o.families {
		families = append(families, f.build()...)
	}
	return mergeFamilies(families), nil
}

// omHint says what to change where Prometheus' parser does not.
func omHint(b []byte, err error) string {
	switch {
	case strings.Contains(err.Error(), "# EOF") && bytes.Contains(b, []byte("\r\n")):
		return " (lines must end with a line feed alone)"
	case strings.Contains(err.Error(), "does not end with # EOF"):
		return " (that must be the last line: without it, nobody knows whether something is missing)"
	}
	return ""
}

// omReader collects samples by families.
type omReader struct {
	parser    textparse.Parser
	utf8Names bool
	families  []*omFamily // in the order in which they came
	at        map[string]*omFamily
	current   *omFamily // of the newest TYPE, HELP or UNIT
}

// entry takes one line.
func (o *omReader) entry(e textparse.Entry) error {
	switch e {
	case textparse.EntryType:
		name, kind := o.parser.Type()
		o.family(string(name)).kind = kind
	case textparse.EntryHelp:
		name, help := o.parser.Help()
		o.family(string(name)).help = string(help)
	case textparse.EntryUnit:
		name, unit := o.parser.Unit()
		o.family(string(name)).unit = string(unit)
	case textparse.EntrySeries:
		return o.series()
	case textparse.EntryInvalid, textparse.EntryComment, textparse.EntryHistogram:
	}
	return nil
}

// family returns the family of that name, which may have come before.
func (o *omReader) family(name string) *omFamily {
	f := o.at[name]
	if f == nil {
		f = &omFamily{name: name, kind: model.MetricTypeUnknown}
		o.at[name] = f
		o.families = append(o.families, f)
	}
	o.current = f
	return f
}

func (o *omReader) series() error {
	var s omSample
	_, at, value := o.parser.Series()
	s.value = value
	if at != nil {
		t := *at
		s.time = &t
	}
	var all labels.Labels
	o.parser.Labels(&all)
	if err := o.checkNames(all); err != nil {
		return err
	}
	s.name, s.labels = all.Get(model.MetricNameLabel), all.DropReserved(func(n string) bool { return n == model.MetricNameLabel })
	var x exemplar.Exemplar
	if o.parser.Exemplar(&x) {
		s.exemplar = &x
	}
	f := o.current
	if f == nil || !f.has(s.name) {
		f = o.stray(s.name)
	}
	f.samples = append(f.samples, s)
	return nil
}

// stray returns the family of a sample that is none of the current one's.
func (o *omReader) stray(name string) *omFamily {
	current := o.current
	f := o.family(name)
	o.current = current
	return f
}

// checkNames refuses what needs --push.enable-utf8-names without it.
func (o *omReader) checkNames(all labels.Labels) error {
	if o.utf8Names {
		return nil
	}
	return all.Validate(func(l labels.Label) error {
		name, valid := l.Name, model.LegacyValidation.IsValidLabelName
		if l.Name == model.MetricNameLabel {
			name, valid = l.Value, model.LegacyValidation.IsValidMetricName
		}
		if !valid(name) {
			return fmt.Errorf("invalid name %q: others than [a-zA-Z_:][a-zA-Z0-9_:]* need --push.enable-utf8-names", group.Brief(name))
		}
		return nil
	})
}

// mergeFamilies joins families of one name and type, as parts of one may come apart.
func mergeFamilies(in []*dto.MetricFamily) (out []*dto.MetricFamily) {
	at := map[string]*dto.MetricFamily{}
	for _, mf := range in {
		f := at[mf.GetName()]
		if f == nil {
			at[mf.GetName()] = mf
			out = append(out, mf)
			continue
		}
		if f.GetType() != mf.GetType() {
			untyped(f)
			untyped(mf)
		}
		f.Metric = append(f.Metric, mf.Metric...)
	}
	slices.SortFunc(out, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out
}

// untyped takes the type of a family that another one of its name does not have.
func untyped(mf *dto.MetricFamily) {
	for _, m := range mf.Metric {
		switch {
		case m.Counter != nil:
			m.Untyped = &dto.Untyped{Value: m.Counter.Value}
		case m.Gauge != nil:
			m.Untyped = &dto.Untyped{Value: m.Gauge.Value}
		}
		m.Counter, m.Gauge = nil, nil
	}
	mf.Type = dto.MetricType_UNTYPED.Enum()
}
