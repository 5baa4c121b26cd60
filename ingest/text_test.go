package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/group"
)

// brief prints families in one line: name, type and the number of metrics.
func brief(families []*dto.MetricFamily) string {
	var parts []string
	for _, mf := range families {
		parts = append(parts, fmt.Sprintf("%s %s %d", mf.GetName(), strings.ToLower(mf.GetType().String()), len(mf.Metric)))
	}
	return strings.Join(parts, ", ")
}

func TestText(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   string
		utf8 bool
		want string // the families, or the error behind "!"
	}{
		{name: "empty body", in: "", want: ""},
		{name: "only comments and blank lines", in: "# a comment\n\n#\n  \t\n", want: ""},
		{name: "every type", in: "# TYPE c counter\nc 1\n# TYPE g gauge\ng 1\nu 1\n# TYPE s summary\ns_count 1\ns_sum 1\ns{quantile=\"0.5\"} 1\n" +
			"# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n", want: "c counter 1, g gauge 1, h histogram 1, s summary 1, u untyped 1"},
		{name: "families come sorted", in: "b 1\na 1\nb{x=\"1\"} 1\n", want: "a untyped 1, b untyped 2"},

		{name: "CRLF", in: "# HELP a h\r\n# TYPE a gauge\r\na{x=\"1\"} 1\r\n\r\na 2\r\n", want: "a gauge 2"},
		{name: "missing final newline", in: "a 1\nb 2", want: "a untyped 1, b untyped 1"},
		{name: "missing final newline after a comment", in: "a 1\n# EOF", want: `!text format parsing error in line 2, column 5: unexpected end of input stream (the last line may be cut off: end it with a newline), in "# EOF"`},
		{name: "leading blanks", in: " \ta 1\n", want: "a untyped 1"},
		{name: "blanks around everything but the end", in: "a \t{ x = \"1\" , y = \"2\" , } \t1\n", want: "a untyped 1"},

		{name: "nan and infinity", in: "a NaN\nb nan\nc +Inf\nd -inf\ne infinity\n", want: "a untyped 1, b untyped 1, c untyped 1, d untyped 1, e untyped 1"},
		{name: "short floats", in: "a .5\nb 5.\nc 1e3\n", want: "a untyped 1, b untyped 1, c untyped 1"},
		{name: "hex value", in: "a 0x10\n", want: `!text format parsing error in line 1, column 3: expected float as value, got "0x10", in "a 0x10"`},
		{name: "hex float value", in: "a 0x1p4\n", want: `!text format parsing error in line 1, column 3: expected float as value, got "0x1p4"`},
		{name: "underscore in a value", in: "a 1_000\n", want: `!text format parsing error in line 1, column 3: expected float as value, got "1_000"`},
		{name: "value out of range", in: "a 1e400\n", want: `!text format parsing error in line 1, column 3: expected float as value, got "1e400"`},
		{name: "no value", in: "a\n", want: `!text format parsing error in line 1, column 2: expected float as value, got ""`},
		{name: "trailing blank", in: "a 1 \n", want: `!text format parsing error in line 1, column 5: expected integer as timestamp, got "" (remove the blank at the end of the line), in "a 1 "`},
		{name: "trailing blank before CRLF", in: "a 1 \r\n", want: `!text format parsing error in line 1, column 5: expected integer as timestamp, got ""`},
		{name: "timestamp that is no integer", in: "x 1\na{b=\"c\"} 1 2.5\n", want: `!text format parsing error in line 2, column 12: expected integer as timestamp, got "2.5", in "a{b=\"c\"} 1 2.5"`},
		{name: "timestamps parse", in: "a 1 0\n", want: "a untyped 1"},
		{name: "more after the timestamp", in: "a 1 2 3\n", want: `!text format parsing error in line 1, column 6: spurious string after timestamp: " 3"`},

		{name: "second HELP", in: "# HELP a x\n# HELP a y\na 1\n", want: `!text format parsing error in line 2, column 10: second HELP line for metric name "a"`},
		{name: "second TYPE", in: "# TYPE a gauge\n# TYPE a gauge\na 1\n", want: `!text format parsing error in line 2, column 10: second TYPE line for metric name "a", or TYPE reported after samples`},
		{name: "TYPE after samples", in: "a 1\n# TYPE a gauge\n", want: `!text format parsing error in line 2, column 10: second TYPE line for metric name "a", or TYPE reported after samples`},
		{name: "HELP after samples", in: "a 1\n# HELP a x\n", want: "a untyped 1"},
		{name: "types in any case", in: "# TYPE a GAUGE\na 1\n# TYPE b Counter\nb 1\n", want: "a gauge 1, b counter 1"},
		{name: "type unknown", in: "# TYPE a unknown\na 1\n", want: `!text format parsing error in line 1, column 10: unknown metric type "unknown"`},
		{name: "type info", in: "# TYPE a info\na 1\n", want: `!text format parsing error in line 1, column 10: unknown metric type "info"`},
		{name: "type gaugehistogram", in: "# TYPE a gaugehistogram\na_bucket{le=\"1\"} 1\na_count 1\n", want: "a gauge_histogram 1"},
		{name: "HELP or TYPE without samples", in: "# HELP a x\n# TYPE b gauge\nc 1\n", want: "c untyped 1"},

		{name: "OpenMetrics EOF is a comment", in: "a 1\n# EOF\n", want: "a untyped 1"},
		{name: "OpenMetrics exemplar", in: "a_total 1 # {id=\"x\"} 1\n", want: `!text format parsing error in line 1, column 11: expected integer as timestamp, got "#" (OpenMetrics exemplars`},
		{name: "duplicate label", in: "a{x=\"1\",x=\"2\"} 1\n", want: `!text format parsing error in line 1, column 10: duplicate label names for metric "a"`},
		{name: "label without quotes", in: "a{x=1} 1\n", want: `!text format parsing error in line 1, column 5: expected '"' at start of label value, found '1'`},
		{name: "metric name with a dash", in: "\na-b 1\n", want: `!text format parsing error in line 2, column 2: expected float as value, got "-b"`},
		{name: "label value that is not UTF-8", in: "a{x=\"\xff\"} 1\n", want: `!text format parsing error in line 1, column 6: invalid label value "\xff"`},
		{name: "line that never ends its label", in: "a{x=\"1\n", want: `!text format parsing error in line 1, column 7: label value "1" contains unescaped new-line`},
		{name: "body that ends within a label", in: "a{x=\"1", want: `!text format parsing error in line 1, column 7: label value "1" contains unescaped new-line`},
		{name: "braces without a name", in: "{} 1\n", want: `!text format parsing error in line 1, column 2: invalid metric name`},

		{name: "UTF-8 names need the flag", in: "{\"a.b\",\"c.d\"=\"e\"} 1\n", want: `!text format parsing error in line 1, column 7: invalid metric name "a.b"`},
		{name: "UTF-8 names with the flag", in: "{\"a.b\",\"c.d\"=\"e\"} 1\n", utf8: true, want: "a.b untyped 1"},
		{
			name: "long lines are cut", in: strings.Repeat("a", 200) + " x\n",
			want: `!text format parsing error in line 1, column 202: expected float as value, got "x", in "` + strings.Repeat("a", 120) + `…"`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			families, err := parseText(normalizeText([]byte(tc.in), true), textOptions{utf8Names: tc.utf8})
			got := brief(families)
			if err != nil {
				got = "!" + err.Error()
			}
			if strings.HasPrefix(tc.want, "!") && strings.HasPrefix(got, tc.want) {
				got = tc.want // the row need not spell out the whole message
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", tc.in, diff)
			}
		})
	}
}

// TestParserForgets holds that a text is taken or refused whatever was parsed
// before it: the parser panics on this one unless it has labels left over.
func TestParserForgets(t *testing.T) {
	for range 100 {
		if _, err := parseText([]byte("# TYPE s summary\ns{l=\"v\"} 1\n"), textOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := parseText([]byte("# TYPE m summary\n# TYPE g gauge\n{\"m\",l=\"v\"} 1\n"), textOptions{}); err == nil {
			t.Fatal("taken with the labels of the text before")
		}
	}
}

// TestParserPanics has a parser that panics in the second line.
func TestParserPanics(t *testing.T) {
	text := []byte("a 1\nb 2\n")
	src := bytes.NewReader(text)
	in := bufio.NewReader(src)
	_, err := guarded(func(io.Reader) (map[string]*dto.MetricFamily, error) {
		if _, err := in.Discard(len("a 1\nb ")); err != nil {
			t.Error(err)
		}
		panic("index out of range")
	}, in)
	if err == nil {
		t.Fatal("no error")
	}
	err = textError(text, len(text)-src.Len()-in.Buffered(), err)
	want := `text format parsing error in line 2, column 2: the parser cannot cope with this text: index out of range, in "b 2"`
	if status, why, _ := classify(err); status != 400 || why != reasonBody || err.Error() != want {
		t.Errorf("%d %s: %v", status, why, err)
	}
}

// TestTooManyLabels has so many that comparing each with all others would take
// minutes.
func TestTooManyLabels(t *testing.T) {
	var b strings.Builder
	b.WriteString("a 1\nm{x=\"a=b\\\"=\"")
	for i := range 100_000 {
		fmt.Fprintf(&b, ",l%d=\"\"", i)
	}
	b.WriteString("} 1\n")
	_, err := parseText([]byte(b.String()), textOptions{maxLabels: DefaultMaxLabels})
	want := `metric family "m": limit exceeded: the series in line 2 has 100001 labels, at most 128 are allowed`
	if !errors.Is(err, group.ErrLimit) || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// TestParsingStops holds that nothing is parsed for long when nobody waits.
func TestParsingStops(t *testing.T) {
	gone := make(chan struct{})
	close(gone)
	text := []byte(strings.Repeat("a 1\n", 10_000))
	_, err := parseText(text, textOptions{gone: gone})
	if status, why, _ := classify(err); status != 503 || why != reasonGone {
		t.Errorf("%d %s: %v", status, why, err)
	}
	if _, err := parseText(text, textOptions{gone: gone, patience: time.Hour}); err != nil {
		t.Errorf("a client that has only stopped sending: %v", err)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{
		"a 1\n", "a{x=\"1\"} 1 2\r\n", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 2\nh_count 1",
		"# TYPE h histogram\nh_bucket{a=\"=\",b=\"\\\"=\",le=\"1\"} 1\n", "m{a=\"\",b=\"\",c=\"\",d=\"\"} 1\n",
		"{\"a.b\",\"c\\n\"=\"d\"} .5",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, utf8Names bool) {
		last := bytes.Trim(b[bytes.LastIndexByte(b, '\n')+1:], " \t")
		if _, err := parseText(normalizeText(bytes.Clone(b), false), textOptions{utf8Names: utf8Names}); err == nil && len(last) > 0 {
			t.Errorf("took %q, which has no end, from a client that did not say its length", last)
		}
		families, err := parseText(normalizeText(bytes.Clone(b), true), textOptions{utf8Names: utf8Names})
		if err == nil && bytes.HasPrefix(last, []byte("#")) {
			t.Errorf("took comment %q, which has no end", last)
		}
		if err != nil {
			if status, why, _ := classify(err); status != 400 || why != reasonBody {
				t.Errorf("%d %s for %v", status, why, err)
			}
			return
		}
		const most = 2
		labels := 0
		for _, mf := range families {
			for _, m := range mf.Metric {
				labels = max(labels, len(m.Label))
			}
		}
		_, err = parseText(normalizeText(bytes.Clone(b), true), textOptions{utf8Names: utf8Names, maxLabels: most})
		if err != nil && labels <= most || err == nil && labels > most+leLabel {
			t.Errorf("%d labels, at most %d are allowed: %v", labels, most, err)
		}
		for i, mf := range families {
			if len(mf.Metric) == 0 {
				t.Errorf("family %q has no metrics", mf.GetName())
			}
			if i > 0 && families[i-1].GetName() >= mf.GetName() {
				t.Errorf("%q comes after %q", mf.GetName(), families[i-1].GetName())
			}
		}
	})
}

// TestTextCost holds the estimate against what parsing takes.
func TestTextCost(t *testing.T) {
	line := func(format string) func(int) string {
		return func(i int) string { return fmt.Sprintf(format, i) }
	}
	for _, tc := range []struct {
		name string
		line func(int) string
	}{
		{"one family", line("a{l=\"%d\"} 1\n")},
		{"shortest lines", func(int) string { return "a 1\n" }},
		{"a family per line", line("a%d 1\n")},
		{"many labels", line("a{b=\"%d\",c=\"\",d=\"\",e=\"\",f=\"\",g=\"\",h=\"\",i=\"\"} 1\n")},
		{"a typed family per line", line("# TYPE a%[1]d counter\n# HELP a%[1]d x\na%[1]d 1\n")},
		{"a histogram of one bucket each", func(i int) string {
			if i == 0 {
				return "# TYPE h histogram\n"
			}
			return fmt.Sprintf("h_bucket{a=\"%d\",le=\"1\"} 1\n", i)
		}},
		{"a histogram of many buckets", func(i int) string {
			if i == 0 {
				return "# TYPE h histogram\n"
			}
			return fmt.Sprintf("h_bucket{le=\"%d\"} 1\n", i)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b strings.Builder
			for i := range 20_000 {
				b.WriteString(tc.line(i))
			}
			body := []byte(b.String())
			checkCost(t, textCost(body), func() ([]*dto.MetricFamily, error) { return parseText(body, textOptions{}) })
		})
	}
}

// checkCost compares an estimate with what families and the part made of them
// keep on the heap.
func checkCost(t *testing.T, cost int64, parse func() ([]*dto.MetricFamily, error)) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	runtime.ReadMemStats(&before)
	families, err := parse()
	if err != nil {
		t.Fatal(err)
	}
	part, _ := group.FromDTO(families, group.BuildOptions{}) // some cases are refused
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	runtime.KeepAlive(families)
	runtime.KeepAlive(part)
	t.Logf("held %d KiB, estimated %d KiB", held>>10, cost>>10)
	if held > cost || held < cost/16 {
		t.Errorf("held %d KiB, estimated %d KiB", held>>10, cost>>10)
	}
}
