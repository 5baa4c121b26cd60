package ingest

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/prototext"
)

const protoType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

// delimited writes families, given as protobuf text, as a body.
func delimited(t testing.TB, families ...string) string {
	t.Helper()
	var b bytes.Buffer
	for _, text := range families {
		mf := &dto.MetricFamily{}
		if err := prototext.Unmarshal([]byte(text), mf); err != nil {
			t.Fatal(err)
		}
		if _, err := protodelim.MarshalTo(&b, mf); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestProtobuf(t *testing.T) {
	const gauge = `name: "g" type: GAUGE metric { gauge { value: 1 } }`
	one := delimited(t, gauge)
	for _, tc := range []struct {
		name string
		in   string
		want string // the families, or the error behind "!"
	}{
		{name: "empty body", in: "", want: ""},
		{name: "order is kept", in: delimited(t, `name: "b" type: GAUGE`, `name: "a" type: SUMMARY`), want: "b gauge 0, a summary 0"},
		{name: "last of duplicate families wins", in: delimited(t, gauge, `name: "x"`, `name: "g" type: COUNTER`), want: "g counter 0, x counter 0"},
		{name: "missing type is counter", in: delimited(t, `name: "a" metric { counter { value: 1 } }`), want: "a counter 1"},
		{name: "family without metrics is kept", in: delimited(t, `name: "a" type: GAUGE`), want: "a gauge 0"},
		{name: "names are not checked here", in: delimited(t, `name: "a b.c" metric { label { name: "d e" value: "f" } counter { value: 1 } }`), want: "a b.c counter 1"},
		{name: "empty message", in: "\x00", want: " counter 0"},
		{name: "unknown fields are dropped", in: "\x06\x0a\x01a\xf8\x01\x01", want: "a counter 0"},
		{name: "length beyond the body", in: one[:len(one)-1], want: "!protobuf body: message 1 announces 18 bytes, 17 are left"},
		{name: "second length beyond the body", in: one + "\x05abc", want: "!protobuf body: message 2 announces 5 bytes, 3 are left"},
		{name: "body that ends within a length", in: one + "\x80", want: "!protobuf body: it ends within the length of message 2"},
		{name: "length of more than 64 bits", in: strings.Repeat("\xff", 10) + "\x01", want: "!protobuf body: the length of message 1 is no varint of 64 bits"},
		{name: "length beyond the limit", in: string(binary.AppendUvarint(nil, 1_000_001)) + "abc", want: "!length of a protobuf message in the body exceeds the limit of 1000000 bytes"},
		{name: "no protobuf", in: "\x04abcd", want: "!protobuf body: message 1 is no metric family: proto:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			families, err := parseProto([]byte(tc.in), 1_000_000)
			got := brief(families)
			if err != nil {
				// The protobuf package varies its blanks on purpose.
				got = "!" + strings.ReplaceAll(err.Error(), "\u00a0", " ")
			}
			if strings.HasPrefix(tc.want, "!") && strings.HasPrefix(got, tc.want) {
				got = tc.want
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", tc.in, diff)
			}
		})
	}
}

func TestContentType(t *testing.T) {
	body := delimited(t, `name: "g" type: GAUGE metric { gauge { value: 1 } }`)
	for _, tc := range []struct {
		name        string
		contentType string
		protobuf    bool
	}{
		{"protobuf", protoType, true},
		{"parameters in another order", "application/vnd.google.protobuf;encoding=delimited;proto=io.prometheus.client.MetricFamily;x=y", true},
		{"media type in capitals", "APPLICATION/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", true},
		{"quoted parameters", `application/vnd.google.protobuf; proto="io.prometheus.client.MetricFamily"; encoding="delimited"`, true},
		{"encoding in capitals", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=Delimited", false},
		{"no encoding", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily", false},
		{"no proto", "application/vnd.google.protobuf; encoding=delimited", false},
		{"encoding text", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text", false},
		{"another media type", "application/x-protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", false},
		{"media type that does not parse", protoType + ";;;=", false},
		{"none", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, Options{})
			w := g.do("PUT", "/metrics/job/a", body, "Content-Type: "+tc.contentType)
			if (w.Code == 200) != tc.protobuf || w.Code != 200 && w.Code != 400 {
				t.Errorf("protobuf body: got %d %q", w.Code, w.Body)
			}
			w = g.do("PUT", "/metrics/job/a", "m 1\n", "Content-Type: "+tc.contentType)
			if (w.Code == 200) == tc.protobuf {
				t.Errorf("text body: got %d %q", w.Code, w.Body)
			}
		})
	}
	for _, contentType := range []string{"text/plain", "text/plain; version=0.0.4", "application/openmetrics-text", "application/x-www-form-urlencoded", "application/json", "!"} {
		t.Run("text by "+contentType, func(t *testing.T) {
			w := newRig(t, Options{}).do("POST", "/metrics/job/a", "m 1\n# EOF\n", "Content-Type: "+contentType)
			if w.Code != 200 {
				t.Errorf("got %d %q", w.Code, w.Body)
			}
		})
	}
}

// TestLengthPrefix pushes a message that claims to be larger than any memory.
func TestLengthPrefix(t *testing.T) {
	g := newRig(t, Options{})
	body := string(binary.AppendUvarint(nil, DefaultMaxDecodedBytes+1)) + "abc"
	allocated := allocated(func() {
		if w := g.do("PUT", "/metrics/job/a", body, "Content-Type: "+protoType); w.Code != 413 || !strings.Contains(w.Body.String(), "--push.max-decoded-bytes") {
			t.Errorf("got %d %q", w.Code, w.Body)
		}
	})
	if allocated > 1<<20 {
		t.Errorf("%d KiB were allocated", allocated>>10)
	}
}

// TestProtoBomb pushes two bytes for each of millions of empty metrics.
func TestProtoBomb(t *testing.T) {
	g := newRig(t, Options{})
	family := append([]byte("\x0a\x01a"), bytes.Repeat([]byte("\x22\x00"), 6<<20)...)
	body := gzipped(t, string(append(binary.AppendUvarint(nil, uint64(len(family))), family...)))
	allocated := allocated(func() {
		if w := g.do("PUT", "/metrics/job/a", body, "Content-Type: "+protoType, "Content-Encoding: gzip"); w.Code != 413 {
			t.Errorf("got %d %q", w.Code, w.Body)
		}
	})
	if allocated > 100<<20 {
		t.Errorf("%d MiB were allocated", allocated>>20)
	}
	g.idle()
}

// TestProtoCost holds the estimate against what parsing takes.
func TestProtoCost(t *testing.T) {
	const n = 20_000
	metrics := func(text string) string {
		family := delimited(t, `name: "a" type: GAUGE `+text)[1:] // without its length
		head := len(delimited(t, `name: "a" type: GAUGE`)) - 1
		family += strings.Repeat(family[head:], n-1)
		return string(binary.AppendUvarint(nil, uint64(len(family)))) + family
	}
	for _, tc := range []struct{ name, body string }{
		{"gauges", metrics(`metric { label { name: "a" value: "b" } gauge { value: 1 } }`)},
		{"empty metrics", metrics(`metric {}`)},
		{"empty labels", metrics(`metric { label {} label {} label {} label {} label {} label {} }`)},
		{"summaries", metrics(`metric { summary { sample_count: 1 sample_sum: 1 quantile {} quantile {} } }`)},
		{"histograms", metrics(`metric { histogram { sample_count: 1 sample_sum: 1 bucket {} bucket { upper_bound: 1 cumulative_count: 1 } } }`)},
		{"native histograms", metrics(`metric { histogram { schema: 1 zero_count: 0 positive_span {} positive_delta: 1 positive_delta: 1 positive_delta: 1 positive_count: 1 exemplars {} } }`)},
		{"exemplars", metrics(`metric { counter { value: 1 exemplar { label {} timestamp {} } created_timestamp {} } }`)},
		{"families", func() string {
			var b strings.Builder
			for i := range n {
				b.WriteString(delimited(t, `name: "a`+strings.Repeat("b", i%7)+string(rune('0'+i%10))+string(rune(0x4e00+i/10))+`"`))
			}
			return b.String()
		}()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkCost(t, protoCost([]byte(tc.body)), func() ([]*dto.MetricFamily, error) { return parseProto([]byte(tc.body), 1<<30) })
		})
	}
}

func FuzzProto(f *testing.F) {
	f.Add([]byte(delimited(f, `name: "a" type: HISTOGRAM metric { label { name: "a" value: "b" } histogram { schema: 1 bucket {} positive_delta: 1 } }`)))
	f.Add(binary.AppendUvarint(nil, DefaultMaxDecodedBytes+1))
	f.Add([]byte("\x00\x00\x80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		protoCost(append(b, make([]byte, protoUnread)...)) // also with what follows being nonsense
		bytesMost := 4<<20 + 100*protoCost(b)
		n := allocated(func() {
			families, err := parseProto(b, 1<<20)
			if err != nil {
				if status, _, _ := classify(err); status != 400 && status != 413 {
					t.Errorf("%v", err)
				}
				return
			}
			names := map[string]bool{}
			for _, mf := range families {
				if names[mf.GetName()] {
					t.Errorf("family %q occurs twice", mf.GetName())
				}
				names[mf.GetName()] = true
			}
		})
		if n > uint64(bytesMost) {
			t.Errorf("%d bytes make %d", len(b), n)
		}
	})
}
