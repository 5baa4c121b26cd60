package ingest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

// fullParts returns the full parser, and a count of how often it was asked.
func fullParts() (full func([]byte) (*group.Part, error), asked *int) {
	asked = new(int)
	return func(text []byte) (*group.Part, error) {
		*asked++
		families, err := parseText(text, textOptions{})
		if err != nil {
			return nil, err
		}
		return group.FromDTO(families, group.BuildOptions{AcceptTimestamps: true})
	}, asked
}

func newTestCache(limit int64) *shapeCache {
	return newShapeCache(limit, state.New(state.Options{}).Share)
}

// written is what the log would keep of a part: all of it.
func written(p *group.Part) string {
	if p == nil {
		return ""
	}
	r := &group.Record{Kind: group.KindPut, Labels: group.NewLabels([]group.Label{{Name: "job", Value: "a"}}), Part: p, Members: p.Members()}
	return string(group.EncodeRecord(nil, r))
}

// TestShapeCache_Texts pushes each text three times and then with other values.
func TestShapeCache_Texts(t *testing.T) {
	for _, c := range []struct {
		name         string
		first, other string
		short        bool // the other text needs no parsing
	}{
		{"values", "a 1\nb{x=\"y\"} 2.5\n", "a -7\nb{x=\"y\"} 1e300\n", true},
		{"NaN and infinities", "a 1\nb 2\nc 3\n", "a NaN\nb +Inf\nc -inf\n", true},
		{"spellings", "a 1\n", "a +.5e-3\n", true},
		{"help and type", "# HELP a is it\n# TYPE a gauge\na 1\n", "# HELP a is it\n# TYPE a gauge\na 2\n", true},
		{"help ends in a number", "# HELP a 1\na 1\n", "# HELP a 2\na 1\n", false},
		{"a comment behind blanks", " # HELP a 1\na 1\n", " # HELP a 2\na 1\n", false},
		{"a label's value ends in a number", "a{x=\"y 1\"} 1\n", "a{x=\"y 2\"} 1\n", false},
		{"no blank before the value", "a{x=\"y 1\"}5\n", "a{x=\"y 1\"}6\n", false},
		{"other label", "a{x=\"y\"} 1\n", "a{x=\"z\"} 1\n", false},
		{"timestamps", "a 1 5\n", "a 1 6\n", false},
		{"last line not ended", "a 1\nb 2", "a 1\nb 22", false},
		{"empty lines", "\n\na 1\n\n", "\n\na 3\n\n", true},
		{"a line that is only a number", "a 1\n5\n", "a 1\n6\n", false},
		{"hexadecimal", "a 1\n", "a 0x1p4\n", false},
		{"too large", "a 1\n", "a 1e999\n", false},
		{"no number", "a 1\n", "a x\n", false},
		{"histogram", histogramText(1, 2, 3), histogramText(10, 20, 30), true},
		{"histogram, count with a fraction", histogramText(1, 2, 3), strings.Replace(histogramText(1, 2, 3), "h_count 3", "h_count 3.5", 1), false},
		{"histogram, negative count", histogramText(1, 2, 3), strings.Replace(histogramText(1, 2, 3), "h_count 3", "h_count -1", 1), false},
		{"histogram, NaN count", histogramText(1, 2, 3), strings.Replace(histogramText(1, 2, 3), "h_count 3", "h_count NaN", 1), false},
		{"histogram, huge count", histogramText(1, 2, 3), strings.Replace(histogramText(1, 2, 3), "h_count 3", "h_count 9007199254740993", 1), false},
		{"histogram without sum and count", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n", "# TYPE h histogram\nh_bucket{le=\"1\"} 2\n", true},
		{"summary", "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n", "# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 20\ns_count 30\n", true},
		{"the gateway's own family", "push_time_seconds 1\na 2\n", "push_time_seconds 5\na 6\n", true},
		{"families in turns", "a 1\nb 2\na{x=\"1\"} 3\n", "a 4\nb 5\na{x=\"1\"} 6\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache := newTestCache(1 << 20)
			full, asked := fullParts()
			for range 3 {
				sameAsFull(t, cache, c.first, full)
			}
			*asked = 0
			if _, err := cache.part(textScanner{}, []byte(c.other), full); err != nil {
				t.Log(err)
			}
			if got := *asked == 0; got != c.short {
				t.Errorf("the short way was taken: %v, want %v", got, c.short)
			}
			sameAsFull(t, cache, c.other, full)
		})
	}
}

func histogramText(values ...int) string {
	return fmt.Sprintf("# TYPE h histogram\nh_bucket{le=\"1\"} %d\nh_bucket{le=\"+Inf\"} %d\nh_sum 4.5\nh_count %d\n", values[0], values[1], values[2])
}

// sameAsFull holds the cache to what the full parser makes of text.
func sameAsFull(t *testing.T, c *shapeCache, text string, full func([]byte) (*group.Part, error)) {
	t.Helper()
	got, gotErr := c.part(textScanner{}, []byte(text), full)
	want, wantErr := full([]byte(text))
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
		t.Fatalf("%q: error %v, want %v", text, gotErr, wantErr)
	}
	if d := cmp.Diff(written(want), written(got)); d != "" {
		t.Fatalf("%q: record (-full +cache):\n%s", text, d)
	}
}

// FuzzShapeCache holds the short way to the full one, byte for byte in the record
// and in every error, for a text and for the same with other values.
func FuzzShapeCache(f *testing.F) {
	for _, s := range []string{
		"a 1\n", "# HELP a b\n# TYPE a counter\na{x=\"y\",z=\"\"} 1\n", histogramText(1, 2, 3), "a{b=\"c 1\"}2\n", " a 1\n", "a 1 2\n",
		"# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n", "push_time_seconds 1\n", "a 1\na 2\n", "\n1\n", "#\n# 5\n",
	} {
		f.Add(s, "7 NaN -1 0.25 1e5", uint8(1))
	}
	f.Fuzz(func(t *testing.T, text, values string, which uint8) {
		c := newTestCache(1 << 20)
		full, _ := fullParts()
		text = string(normalizeText([]byte(text), true))
		for range 3 {
			sameAsFull(t, c, text, full)
		}
		sameAsFull(t, c, otherValues(text, strings.Fields(values), int(which)), full)
		sameAsFull(t, c, text, full)
	})
}

// otherValues puts values where a line ends in a word, but not in every line.
func otherValues(text string, values []string, step int) string {
	if len(values) == 0 {
		return text
	}
	lines := strings.SplitAfter(text, "\n")
	for i := range lines {
		if at := strings.LastIndexByte(lines[i], ' '); at >= 0 && strings.HasSuffix(lines[i], "\n") && (i+step)%5 != 0 {
			lines[i] = lines[i][:at+1] + values[(i+step)%len(values)] + "\n"
		}
	}
	return strings.Join(lines, "")
}

func TestShapeCache_Bounded(t *testing.T) {
	const limit = 64 << 10
	c := newTestCache(limit)
	full, _ := fullParts()
	for i := range 2000 {
		for range 2 {
			sameAsFull(t, c, fmt.Sprintf("a{x=\"%d\"} 1\n", i), full)
		}
		if s := c.stats(); s.bytes > limit {
			t.Fatalf("%d bytes after %d texts, the limit is %d", s.bytes, i, limit)
		}
	}
	if s := c.stats(); s.texts == 0 || s.hits != 0 {
		t.Errorf("%+v, want texts and no hit", s)
	}
}

// TestShapeCache_Kept: what is asked for stays, whatever else comes.
func TestShapeCache_Kept(t *testing.T) {
	c := newTestCache(64 << 10)
	full, asked := fullParts()
	often := []byte("often 1\n")
	for range 2 {
		sameAsFull(t, c, string(often), full)
	}
	for i := range 2000 {
		for range 2 {
			sameAsFull(t, c, fmt.Sprintf("a{x=\"%d\"} 1\n", i), full)
		}
		*asked = 0
		if _, err := c.part(textScanner{}, often, full); err != nil || *asked != 0 {
			t.Fatalf("forgotten after %d texts: %v", i, err)
		}
	}
}

// TestShapeCache_RefusedText: a text that is refused is refused each time.
// TestShapeCache_Shared: a body that came again before the state had its shape takes that over later.
func TestShapeCache_Shared(t *testing.T) {
	full, _ := fullParts()
	text := []byte("a 1\nb{x=\"y\"} 2.5\n")
	first, err := full(text)
	if err != nil {
		t.Fatal(err)
	}
	has := false
	c := newShapeCache(1<<20, func(s *group.Shape) *group.Shape {
		if has {
			return first.Shape
		}
		return s
	})
	push := func() *group.Shape {
		p, err := c.part(textScanner{}, text, full)
		if err != nil {
			t.Fatal(err)
		}
		return p.Shape
	}
	push()
	if learnt := push(); learnt == first.Shape || push() != learnt {
		t.Fatal("the body is not known by its own shape")
	}
	has = true
	for range shareEvery {
		push()
	}
	if push() != first.Shape {
		t.Errorf("after %d pushes the body has a shape beside that of the state", shareEvery)
	}
}

func TestShapeCache_RefusedText(t *testing.T) {
	c := newTestCache(1 << 20)
	refused := errors.New("refused")
	for range 4 {
		_, err := c.part(textScanner{}, []byte("a 1\n"), func([]byte) (*group.Part, error) { return nil, refused })
		if !errors.Is(err, refused) {
			t.Fatal(err)
		}
	}
	if s := c.stats(); s.texts != 0 {
		t.Errorf("%d texts kept", s.texts)
	}
}

func TestShapeCache_Off(t *testing.T) {
	c := newTestCache(0)
	full, asked := fullParts()
	for range 5 {
		if _, err := c.part(textScanner{}, []byte("a 1\n"), full); err != nil {
			t.Fatal(err)
		}
	}
	if *asked != 5 {
		t.Errorf("the parser was asked %d times of 5", *asked)
	}
}

// FuzzParseValue holds the short parser of numbers to the standard one.
func FuzzParseValue(f *testing.F) {
	for _, s := range []string{"1", "-0", "0.1", "123456789012345", "1234567890123456", ".5", "5.", ".", "-", "+1", "1e5", "NaN", "0x1p-2", "1_0", "0.000000000000001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseValue([]byte(s))
		if !ok {
			return
		}
		families, err := parseText([]byte("a "+s+"\n"), textOptions{})
		if err != nil || len(families) != 1 {
			t.Fatalf("%q: taken as %v, the full parser says %v", s, got, err)
		}
		if want := families[0].Metric[0].GetUntyped().GetValue(); math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%q: %v, want %v", s, got, want)
		}
	})
}

func BenchmarkShapeCache(b *testing.B) {
	for _, series := range []int{3, 21, 1000, 10000} {
		var text strings.Builder
		text.WriteString("# HELP batch_job_records how many\n# TYPE batch_job_records gauge\n")
		for i := range series {
			fmt.Fprintf(&text, "batch_job_records{shard=\"%d\",kind=\"input\"} %d.25\n", i, i)
		}
		full, _ := fullParts()
		for _, limit := range []int64{0, 64 << 20} {
			b.Run(fmt.Sprintf("series=%d/cache=%v", series, limit > 0), func(b *testing.B) {
				c := newTestCache(limit)
				b.ReportAllocs()
				b.SetBytes(int64(text.Len()))
				for b.Loop() {
					if _, err := c.part(textScanner{}, []byte(text.String()), full); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// TestShapeCache_LargeBodies: what is large goes the long way, and leaves nothing.
func TestShapeCache_LargeBodies(t *testing.T) {
	c := newTestCache(1 << 30)
	full, asked := fullParts()
	large := []byte("# HELP a " + strings.Repeat("x", maxScanned) + "\na 1\n")
	for range 4 {
		if _, err := c.part(textScanner{}, large, full); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.stats(); *asked != 4 || s.misses != 0 || s.bytes != 0 {
		t.Errorf("the parser was asked %d times of 4, %+v", *asked, s)
	}
}
