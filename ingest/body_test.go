package ingest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
)

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func snapped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := snappy.NewBufferedWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestContentEncoding(t *testing.T) {
	const text = "some_metric 1\n"
	gz, sn := gzipped(t, text), snapped(t, text)
	for _, tc := range []struct {
		name     string
		encoding string
		body     string
		status   int
		say      string // part of the answer
	}{
		{name: "none", body: text, status: 200},
		{name: "gzip", encoding: "gzip", body: gz, status: 200},
		{name: "gzip in capitals", encoding: "GZip", body: gz, status: 200},
		{name: "gzip of two members", encoding: "gzip", body: gz + gzipped(t, "other 2\n"), status: 200},
		{name: "snappy framed", encoding: "snappy", body: sn, status: 200},
		{name: "snappy in capitals", encoding: "SNAPPY", body: sn, status: 200},
		{name: "unknown encoding is ignored", encoding: "zstd", body: text, status: 200},
		{name: "unknown encoding of something else", encoding: "zstd", body: "\x28\xb5\x2f\xfd", status: 400, say: `Content-Encoding "zstd" is not known`},
		{name: "gzip without its header", body: gz, status: 400, say: "send it with the header Content-Encoding: gzip"},
		{name: "snappy without its header", body: sn, status: 400, say: "send it with the header Content-Encoding: snappy"},
		{name: "zstd without its header", body: "\x28\xb5\x2f\xfd\x04\x00", status: 400, say: "zstd is not understood"},
		{name: "gzip within gzip", encoding: "gzip", body: gzipped(t, gz), status: 400, say: "the body is compressed"},
		{name: "two encodings are unknown", encoding: "gzip, gzip", body: gz, status: 400, say: "is not known"},
		{name: "empty gzip body", encoding: "gzip", body: "", status: 400, say: "decode gzip body: it ends too early"},
		{name: "empty snappy body", encoding: "snappy", body: "", status: 200},
		{name: "gzip that is none", encoding: "gzip", body: text, status: 400, say: "decode gzip body: gzip: invalid header"},
		{name: "snappy that is none", encoding: "snappy", body: text, status: 400, say: "decode snappy body: snappy: corrupt input"},
		{name: "snappy block format", encoding: "snappy", body: string(snappy.Encode(nil, []byte(text))), status: 400, say: "decode snappy body"},
		{name: "truncated gzip", encoding: "gzip", body: gz[:len(gz)-9], status: 400, say: "decode gzip body: it ends too early"},
		{name: "truncated gzip trailer", encoding: "gzip", body: gz[:len(gz)-1], status: 400, say: "decode gzip body: it ends too early"},
		{name: "gzip with a wrong checksum", encoding: "gzip", body: gz[:len(gz)-8] + "abcdefgh", status: 400, say: "gzip: invalid checksum"},
		{name: "truncated snappy", encoding: "snappy", body: sn[:len(sn)-1], status: 400, say: "decode snappy body"},
		{name: "trash behind gzip", encoding: "gzip", body: gz + "trash that is long enough", status: 400, say: "gzip: invalid header"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, Options{})
			w := g.do("PUT", "/metrics/job/a", tc.body, "Content-Encoding: "+tc.encoding)
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.say) {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tc.status, tc.say)
			}
			if got := len(g.keys()); (got == 1) != (tc.status == 200) {
				t.Errorf("%d groups", got)
			}
			g.idle()
		})
	}
}

func TestEncodingOfEveryRoute(t *testing.T) {
	g := newRig(t, Options{AdminAPI: true})
	for _, tc := range []struct {
		name   string
		method string
		path   string
		status int
	}{
		{"DELETE with a bad gzip header", "DELETE", "/metrics/job/a", 400},
		{"GET with a bad gzip header", "GET", "/metrics/job/a", 400},
		{"no route with a bad gzip header", "PUT", "/metrics/job", 400},
		{"wrong case with a bad gzip header", "PUT", "/METRICS/job/a", 400},
		{"the clean path comes first", "PUT", "/metrics//job/a", 307},
		{"the API does not decode", "PUT", "/api/v1/admin/wipe", 202},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if w := g.do(tc.method, tc.path, "", "Content-Encoding: gzip"); w.Code != tc.status {
				t.Errorf("got %d %q, want %d", w.Code, w.Body, tc.status)
			}
		})
	}
}

func TestDecodeBodyAroundOthers(t *testing.T) {
	g := newRig(t, Options{})
	var got string
	reader := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = string(b)
	})
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", strings.NewReader(gzipped(t, "text")))
	r.Header.Set("Content-Encoding", "gzip")
	w := httptest.NewRecorder()
	g.DecodeBody(g.DecodeBody(reader)).ServeHTTP(w, r)
	if w.Code != 200 || got != "text" {
		t.Errorf("got %d, body %q", w.Code, got)
	}
}

func TestBodyLimits(t *testing.T) {
	const text = "a_metric 1\nb_metric 2\n"
	many := "x 1\n" + strings.Repeat("# comment\n", 10_000)
	for _, tc := range []struct {
		name     string
		limits   Limits
		body     string
		encoding string
		status   int
		say      string
	}{
		{name: "exactly the body limit", limits: Limits{MaxBodyBytes: int64(len(text))}, body: text, status: 200},
		{name: "one byte over the body limit", limits: Limits{MaxBodyBytes: int64(len(text)) - 1}, body: text, status: 413, say: "--push.max-body-bytes"},
		{name: "compressed body over the limit", limits: Limits{MaxBodyBytes: 20}, body: gzipped(t, text), encoding: "gzip", status: 413, say: "--push.max-body-bytes"},
		{name: "exactly the decoded limit", limits: Limits{MaxDecodedBytes: int64(len(many))}, body: gzipped(t, many), encoding: "gzip", status: 200},
		{name: "one byte over the decoded limit", limits: Limits{MaxDecodedBytes: int64(len(many)) - 1}, body: gzipped(t, many), encoding: "gzip", status: 413, say: "--push.max-decoded-bytes"},
		{name: "snappy over the decoded limit", limits: Limits{MaxDecodedBytes: 100}, body: snapped(t, many), encoding: "snappy", status: 413, say: "--push.max-decoded-bytes"},
		{name: "one push needs more than the memory for all", limits: Limits{MaxInFlightBytes: 10_000}, body: many, status: 413, say: "--push.max-inflight-bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, Options{Limits: tc.limits})
			for _, announced := range []bool{true, false} {
				var body io.Reader = strings.NewReader(tc.body)
				if !announced {
					body = io.MultiReader(body) // no Content-Length
				}
				w := g.send("PUT", "/metrics/job/a", body, "Content-Encoding: "+tc.encoding)
				if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.say) {
					t.Errorf("announced %v: got %d %q, want %d %q", announced, w.Code, w.Body, tc.status, tc.say)
				}
			}
			g.idle()
		})
	}
}

func TestInFlightBound(t *testing.T) {
	g := newRig(t, Options{Limits: Limits{MaxInFlightBytes: 20_000}})
	other := lease{b: g.bodies.budget}
	if err := other.take(19_000); err != nil {
		t.Fatal(err)
	}
	w := g.do("PUT", "/metrics/job/a", "m 1\n")
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "--push.max-inflight-bytes") {
		t.Errorf("got %d %v %q", w.Code, w.Header(), w.Body)
	}
	other.close()
	if w := g.do("PUT", "/metrics/job/a", "m 1\n"); w.Code != 200 {
		t.Errorf("with memory again: %d %q", w.Code, w.Body)
	}
	g.idle()
}

// TestGzipBomb pushes 1 MiB that decompresses to 1 GiB.
func TestGzipBomb(t *testing.T) {
	member := gzipped(t, strings.Repeat("\x00", 16<<20))
	g := newRig(t, Options{})
	bomb := strings.Repeat(member, 64)
	allocated := allocated(func() {
		if w := g.do("PUT", "/metrics/job/a", bomb, "Content-Encoding: gzip"); w.Code != 413 {
			t.Errorf("got %d %q", w.Code, w.Body)
		}
	})
	if allocated > 600<<20 {
		t.Errorf("%d MiB were allocated", allocated>>20)
	}
	g.idle()
}

// TestLineBomb pushes a gzip body of some kilobytes that decompresses within its
// limit, and would take gigabytes once parsed.
func TestLineBomb(t *testing.T) {
	g := newRig(t, Options{})
	bomb := gzipped(t, strings.Repeat("a 1\n", 3<<20))
	allocated := allocated(func() {
		if w := g.do("PUT", "/metrics/job/a", bomb, "Content-Encoding: gzip"); w.Code != 413 {
			t.Errorf("got %d %q", w.Code, w.Body)
		}
	})
	if allocated > 100<<20 {
		t.Errorf("%d MiB were allocated", allocated>>20)
	}
	g.idle()
}

// allocated returns how many bytes were allocated in all while f ran, which is
// more than was held at any moment.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestShorterThanContentLength(t *testing.T) {
	for _, tc := range []struct{ name, encoding, body string }{
		{"text cut between lines", "", "some_metric 1\n"},
		{"text cut within a line", "", "some_met"},
		{"nothing at all", "", ""},
		{"gzip", "gzip", gzipped(t, "some_metric 1\n")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, Options{})
			status, answer := rawPut(t, g, tc.body, len(tc.body)+7, tc.encoding)
			if tc.encoding == "gzip" {
				// The gzip stream is complete; what may follow it never comes.
				if status != 400 || !strings.Contains(answer, "ends too early") {
					t.Errorf("got %d %q", status, answer)
				}
			} else if status != 400 || !strings.Contains(answer, "shorter than its Content-Length") {
				t.Errorf("got %d %q", status, answer)
			}
			if keys := g.keys(); len(keys) > 0 {
				t.Errorf("made groups %v", keys)
			}
		})
	}
}

// TestUnendedLine has bodies whose last line has no end: cut off, perhaps, or
// stripped of their line ends.
func TestUnendedLine(t *testing.T) {
	const file = "# TYPE backup_size_bytes gauge\nbackup_size_bytes 123456\n"
	stripped := strings.ReplaceAll(file, "\n", "")
	for _, tc := range []struct {
		name             string
		body             string
		encoding         string
		announced        int    // status when the length was told
		chunked          int    // status when it was not
		say, sayUnlength string // part of the answers
	}{
		{name: "all lines ended", body: file, announced: 200, chunked: 200},
		{name: "whole sample", body: file[:len(file)-1], announced: 200, chunked: 400, sayUnlength: "line 2, column 24: unexpected end of input stream (the last line may be cut off: end it with a newline)"},
		{name: "whole sample, gzip", body: gzipped(t, file[:len(file)-1]), encoding: "gzip", announced: 200, chunked: 400, sayUnlength: "unexpected end of input stream"},
		{name: "line ends stripped", body: stripped, announced: 400, chunked: 400, say: "curl -d strips them, use --data-binary", sayUnlength: "unexpected end of input stream"},
		{name: "line ends of samples stripped", body: "a 1b 2", announced: 400, chunked: 400, say: "curl -d strips them, use --data-binary", sayUnlength: `got "1b"`},
		{name: "one sample", body: "a 1", announced: 200, chunked: 400, sayUnlength: "unexpected end of input stream"},
		{name: "comment behind samples", body: "a 1\n# EOF", announced: 400, chunked: 400, say: "line 2, column 5: unexpected end of input stream (the last line may be cut off", sayUnlength: "unexpected end of input stream"},
		{name: "indented comment", body: "a 1\n\t # HELP b", announced: 400, chunked: 400, say: "unexpected end of input stream", sayUnlength: "unexpected end of input stream"},
		{name: "cut within a name", body: "a 1\nb", announced: 400, chunked: 400, say: "line 2", sayUnlength: "unexpected end of input stream"},
		{name: "cut within a label", body: "a 1\nb{c=\"d", announced: 400, chunked: 400, say: "contains unescaped new-line", sayUnlength: "unexpected end of input stream"},
		{name: "an earlier mistake is named", body: "a x\n# EOF", announced: 400, chunked: 400, say: `line 1, column 3: expected float`, sayUnlength: `line 1, column 3: expected float`},
		{name: "only blanks behind the last end", body: "a 1\n \t", announced: 200, chunked: 200},
		{name: "nothing", announced: 200, chunked: 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, way := range []struct {
				name   string
				body   io.Reader
				status int
				say    string
			}{
				{"announced", strings.NewReader(tc.body), tc.announced, tc.say},
				{"chunked", io.MultiReader(strings.NewReader(tc.body)), tc.chunked, tc.sayUnlength},
			} {
				g := newRig(t, Options{})
				w := g.send("PUT", "/metrics/job/a", way.body, "Content-Encoding: "+tc.encoding)
				if w.Code != way.status || !strings.Contains(w.Body.String(), way.say) {
					t.Errorf("%s: got %d %q, want %d %q", way.name, w.Code, w.Body, way.status, way.say)
				}
				if got := len(g.keys()); (got == 1) != (way.status == 200) {
					t.Errorf("%s: %d groups", way.name, got)
				}
			}
		})
	}
}

// TestCutProtobuf cuts a body of two messages everywhere.
func TestCutProtobuf(t *testing.T) {
	first := delimited(t, `name: "a" type: GAUGE metric { gauge { value: 1 } }`)
	body := first + delimited(t, `name: "b" type: GAUGE metric { gauge { value: 1 } }`)
	for n := 1; n < len(body); n++ {
		g := newRig(t, Options{})
		w := g.do("PUT", "/metrics/job/a", body[:n], "Content-Type: "+protoType)
		if want := n == len(first); (w.Code == 200) != want {
			t.Errorf("%d of %d bytes: got %d %q", n, len(body), w.Code, w.Body)
		}
	}
}

func TestNormalizeText(t *testing.T) {
	for in, want := range map[string]string{
		"# a":               "# a",
		"a\r\n \t#":         "a\n \t#",
		"a#":                "a#\n",
		" ":                 " \n",
		"":                  "",
		"a":                 "a\n",
		"a\n":               "a\n",
		"a\r":               "a\n",
		"a\r\n":             "a\n",
		"a\r\nb\r\n\r\nc":   "a\nb\n\nc\n",
		"a\r\r\nb":          "a\r\nb\n",
		"a\rb\n":            "a\rb\n",
		"\r\n":              "\n",
		"a\nb\r\nc\nd\r\ne": "a\nb\nc\nd\ne\n",
	} {
		if diff := cmp.Diff(want, string(normalizeText([]byte(in), true))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
}

func FuzzBody(f *testing.F) {
	f.Add([]byte("m 1\r\n"), uint8(0))
	f.Add([]byte(gzipped(f, "m 1\n")), uint8(1))
	f.Add([]byte(snapped(f, "m 1\n")), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, encoding uint8) {
		g := newRig(t, Options{Limits: Limits{MaxBodyBytes: 1 << 10, MaxDecodedBytes: 1 << 12, MaxInFlightBytes: 1 << 20}})
		r := httptest.NewRequestWithContext(t.Context(), "PUT", "/metrics/job/a", bytes.NewReader(b))
		r.Header.Set("Content-Encoding", []string{"", "gzip", "snappy"}[encoding%3])
		w := httptest.NewRecorder()
		opened, err := openBody(w, r, &g.limits)
		if err != nil {
			if status, _, _ := classify(err); status != 400 && status != 413 {
				t.Errorf("open: %v", err)
			}
			return
		}
		defer opened.release()
		r.Body = opened
		l := &lease{b: g.bodies.budget}
		defer g.idle()
		defer l.close()
		buf, err := readBody(r, g.limits, l)
		if err != nil {
			if status, _, _ := classify(err); status != 400 && status != 413 {
				t.Errorf("read: %v", err)
			}
			return
		}
		if len(*buf) > 1<<12 {
			t.Errorf("read %d bytes", len(*buf))
		}
		text := normalizeText(*buf, true)
		if bytes.Contains(text, []byte("\r\n")) != bytes.Contains(text, []byte("\r\r\n")) && !bytes.Contains(b, []byte("\r\r")) {
			t.Errorf("CRLF left in %q", text)
		}
	})
}
