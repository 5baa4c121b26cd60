package group

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// diffRecords compares everything of two records that is written.
func diffRecords(want, got *Record) string {
	return gocmp.Diff(want, got,
		gocmp.AllowUnexported(Shape{}, Family{}, Metric{}),
		cmpopts.IgnoreUnexported(Record{}, Part{}), cmpopts.EquateEmpty(), cmpopts.EquateNaNs(),
		cmpopts.IgnoreFields(Shape{}, "hash"))
}

func records(t testing.TB) map[string]*Record {
	t.Helper()
	all := []*dto.MetricFamily{
		family(t, `name:"g" type:GAUGE help:"Help." unit:"seconds" metric{label{name:"a" value:"1"} label{name:"b" value:""} gauge{value:1.5}} metric{gauge{value:-inf} timestamp_ms:77}`),
		family(t, `name:"c" type:COUNTER help:"" metric{counter{value:3 exemplar{label{name:"t" value:"x"} value:1 timestamp{seconds:-1 nanos:2}} created_timestamp{seconds:8 nanos:7}}}`),
		family(t, `name:"e" type:UNTYPED`),
		family(t, `name:"s" type:SUMMARY metric{summary{sample_count:18446744073709551615 sample_sum:2.5 quantile{quantile:0.5 value:1} quantile{quantile:0.9 value:nan}}}`),
		family(t, `name:"k" type:HISTOGRAM metric{histogram{sample_count:3 sample_sum:2 bucket{cumulative_count:1 upper_bound:0.5 exemplar{label{name:"t" value:"y"} value:0.1}} bucket{cumulative_count:3 upper_bound:inf}}}
			metric{label{name:"a" value:"1"} histogram{sample_count:3 sample_sum:2 bucket{cumulative_count:1 upper_bound:0.5} bucket{cumulative_count:3 upper_bound:inf}}}`),
		family(t, nativeInteger),
		family(t, strings.Replace(nativeFloat, `name:"h"`, `name:"f"`, 1)),
	}
	p, err := FromDTO(all, BuildOptions{AcceptTimestamps: true})
	if err != nil {
		t.Fatal(err)
	}
	p.Time, p.Pushed, p.Unsent = 1_700_000_000_123, 1_700_000_000_123_456_789, []uint32{0, 3}
	l := NewLabels([]Label{{"job", "j"}, {"instance", ""}, {"zone", "é"}})
	empty := NewBuilder().Part()
	empty.Time, empty.Pushed = 5, 6
	return map[string]*Record{
		"put": {
			Kind: KindPut, Labels: l, Time: p.Time, Push: p.Pushed, Fail: -1, TTL: 26e12, Hide: OwnFailTime, Part: p, Members: p.Members(),
			Ended: []Ended{
				{Family: "old", Type: Histogram, Labels: []Label{{"a", "1"}}, Bounds: []float64{0.1, inf}, What: ComponentBounds | ComponentSum},
				{Family: "old", Type: Histogram, Labels: []Label{{"a", "2"}}, What: ComponentNative, Float: true},
				{Family: "g", Type: Gauge, What: ComponentValue},
			},
		},
		"post-empty": {Kind: KindPost, Labels: l, Time: 5, Push: 6, Part: empty},
		"delete": {Kind: KindDelete, Labels: l, Time: math.MaxInt64, Ended: []Ended{
			{Family: PushTimeName, Type: Gauge, What: ComponentValue}, {Family: FailTimeName, Type: Gauge, What: ComponentValue},
		}},
		"delete-units": {Kind: KindDelete, Labels: l, Time: 7, Ended: []Ended{
			{Family: "a_seconds", Unit: "seconds", Type: Summary, Labels: []Label{{"a", "1"}}, Bounds: []float64{0.5}, What: ComponentBounds},
			{Family: "b_seconds", Unit: "seconds", Type: Gauge, What: ComponentValue},
		}},
		"fail":       {Kind: KindFail, Labels: l, Time: -3, Push: 1, Fail: 2},
		"sum":        sumRecord(t, l),
		"delete-key": {Kind: KindDelete, Labels: l, Time: 8, Merge: Merge{Key: NewPushKey(l, "deleted")}},
		"clock":      {Kind: KindClock, Time: 9},
	}
}

// sumRecord is that of a push that was added to others.
func sumRecord(t testing.TB, l Labels) *Record {
	p := part(t, "# TYPE c counter\nc{a=\"1\"} 7\n")
	p.Time, p.Pushed = 8, 9
	return &Record{
		Kind: KindPost, Labels: l, Time: 8, Push: 9, Part: p, Members: p.Members(),
		Merge: Merge{Pushes: 300, Some: true, Key: NewPushKey(l, "id")},
	}
}

// TestRecordGolden: the bytes on disk do not change. A new version of the format
// gets files of its own, and these stay readable.
func TestRecordGolden(t *testing.T) {
	for name, want := range records(t) {
		t.Run(name, func(t *testing.T) {
			b := EncodeRecord(nil, want)
			path := filepath.Join("testdata", "record-v1", name+".hex")
			if *update {
				writeHex(t, path, b)
			}
			golden := readHex(t, path)
			if !bytes.Equal(golden, b) {
				t.Errorf("encoded as\n%swant\n%s", hex.Dump(b), hex.Dump(golden))
			}
			got, err := DecodeRecord(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := diffRecords(want, got); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
			if got.Samples() != want.Samples() {
				t.Errorf("%d samples, want %d", got.Samples(), want.Samples())
			}
		})
	}
}

func writeHex(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(hex.Dump(b)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readHex reads a file as hexdump -C prints it.
func readHex(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for line := range strings.Lines(string(text)) {
		digits, _, _ := strings.Cut(line, "|")
		for _, f := range strings.Fields(digits)[1:] {
			b, err := hex.DecodeString(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b...)
		}
	}
	return out
}

func TestDecodeRecordErrors(t *testing.T) {
	whole := EncodeRecord(nil, records(t)["put"])
	for n := range whole {
		if _, err := DecodeRecord(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(whole))
		}
	}
	if _, err := DecodeRecord(append(slices.Clip(whole), 0)); err == nil {
		t.Error("a byte too many was accepted")
	}
	whole[0] = 2
	if _, err := DecodeRecord(whole); err == nil || err.Error() != "decode record: written by a newer version: version 2 is not known" || !errors.Is(err, ErrNewer) {
		t.Errorf("another version: %v", err)
	}
}

// TestDecodeNewer: a record with flags that are not known is of a newer version, and not
// damaged.
func TestDecodeNewer(t *testing.T) {
	b := EncodeRecord(nil, &Record{Kind: KindFail, Labels: NewLabels([]Label{{"job", "j"}}), Fail: 1})
	const flagsAt = 3 // version, kind, time 0
	if b[flagsAt] != hasFail {
		t.Fatalf("flags %#x", b[flagsAt])
	}
	for _, row := range []struct {
		more []byte
		want string
	}{
		{[]byte{0x08}, "decode record: written by a newer version: flags 0x400 are not known"},
		{[]byte{0x80, 0x04}, "decode record: written by a newer version: flags 0x10000 are not known"},
	} {
		with := slices.Concat(b[:flagsAt], []byte{b[flagsAt] | 0x80}, row.more, []byte("anything"), b[flagsAt+1:])
		_, err := DecodeRecord(with)
		if err == nil || err.Error() != row.want || !errors.Is(err, ErrNewer) || errors.Is(err, errCorrupt) {
			t.Errorf("%x: %v", row.more, err)
		}
	}
	torn := append(slices.Clone(b[:flagsAt]), 0x80)
	if _, err := DecodeRecord(torn); !errors.Is(err, errCorrupt) {
		t.Errorf("cut in its flags: %v", err)
	}
}

// TestDecodeDoesNotAlias: the log reuses its buffers.
func TestDecodeDoesNotAlias(t *testing.T) {
	want := records(t)["put"]
	b := EncodeRecord(nil, want)
	got, err := DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if diff := diffRecords(want, got); diff != "" {
		t.Errorf("the record changed with the buffer:\n%s", diff)
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// maxBlowUp is how many bytes of memory a byte of input may take: a symbol of
// one byte costs two string headers and a length.
const maxBlowUp = 200

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range records(f) {
		f.Add(EncodeRecord(nil, r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r *Record
		var err error
		if n := allocated(func() { r, err = DecodeRecord(b) }); n > uint64(len(b))*maxBlowUp+1<<16 {
			t.Errorf("%d bytes of input took %d bytes", len(b), n)
		}
		if err != nil {
			return
		}
		again, err := DecodeRecord(EncodeRecord(nil, r))
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if diff := diffRecords(r, again); diff != "" {
			t.Errorf("round trip (-first +second):\n%s", diff)
		}
		known, err := DecodeRecordOf(b, func(Labels) *Shape { return shapeIn(r) })
		if err != nil {
			t.Fatalf("what was decoded does not decode with its shape known: %v", err)
		}
		if diff := diffRecords(r, known); diff != "" {
			t.Errorf("with its shape known (-without +with):\n%s", diff)
		}
		useRecord(r)
	})
}

func shapeIn(r *Record) *Shape {
	if r.Part == nil {
		return nil
	}
	return r.Part.Shape
}

// TestDecodeRecordOf: a record is given the shape that its group has if that is its own, and has
// its own otherwise.
func TestDecodeRecordOf(t *testing.T) {
	all := records(t)
	for i, r := range all {
		b := EncodeRecord(nil, r)
		for k, other := range all {
			asked := Labels(nil)
			got, err := DecodeRecordOf(b, func(l Labels) *Shape { asked = l; return shapeIn(other) })
			if err != nil {
				t.Fatalf("record %q with the shape of %q: %v", i, k, err)
			}
			if diff := diffRecords(r, got); diff != "" {
				t.Errorf("record %q with the shape of %q (-want +got):\n%s", i, k, diff)
			}
			if r.Part == nil {
				continue
			}
			if !slices.Equal(asked, r.Labels) {
				t.Errorf("asked for the shape of %v, want %v", asked, r.Labels)
			}
			if same := other.Part != nil && r.Part.Shape.Equal(other.Part.Shape); same != (got.Part.Shape == shapeIn(other)) || same != got.Part.shared {
				t.Errorf("record %q has the shape of %q: %v, shared %v; want %v", i, k, got.Part.Shape == shapeIn(other), got.Part.shared, same)
			}
		}
		for n := range b {
			if _, err := DecodeRecordOf(b[:n], func(Labels) *Shape { return shapeIn(r) }); err == nil {
				t.Errorf("the first %d of %d bytes of record %q decode", n, len(b), i)
			}
		}
	}
}

// useRecord does what others do with a record, for panics.
func useRecord(r *Record) {
	_, _ = r.Samples(), r.Size()
	for _, m := range r.Members {
		m.DTO(r.Labels)
	}
	if g := (*Group)(nil).Next(r, &Shapes{}); g != nil {
		var b bytes.Buffer
		if err := EncodeSnapshot(&b, View{Groups: []*Group{g}}); err != nil {
			panic(err)
		}
	}
}

// TestPrepare: a record that was prepared before it was stamped is written like any other,
// also when its bytes are gone.
func TestPrepare(t *testing.T) {
	for name, r := range records(t) {
		t.Run(name, func(t *testing.T) {
			want, samples, size := EncodeRecord(nil, r), r.Samples(), r.Size()
			early := *r
			early.Time = 1
			if r.Part != nil {
				part := *r.Part
				part.Time, part.Pushed, early.Part = 1, 1, &part
			}
			early.Prepare()
			early.Time = r.Time
			if r.Part != nil {
				early.Part.Time, early.Part.Pushed = r.Part.Time, r.Part.Pushed
			}
			for range 2 {
				if !bytes.Equal(EncodeRecord(nil, &early), want) {
					t.Error("other bytes than without")
				}
				if early.Samples() != samples || early.Size() != size {
					t.Errorf("%d samples and %d bytes, want %d and %d", early.Samples(), early.Size(), samples, size)
				}
				early.Written()
			}
		})
	}
}
