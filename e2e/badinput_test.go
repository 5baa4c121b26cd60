package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const protobufType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

// TestBadInputChangesNothing sends what no client should send. Each request is
// answered with a clear 4xx, memory stays bounded, and nothing is changed.
func TestBadInputChangesNothing(t *testing.T) {
	g := startPushbridge(t)
	g.put(t, "good/instance/a", "good_value 1\n")
	before := mustGet(t, g.url+"/api/v1/metrics")
	bomb := gzipped("\n", 1<<30)
	half := gzipped("good_value 2\n", 1<<12)
	for _, tt := range []struct {
		name    string
		path    string
		body    string
		headers []string
		want    int
	}{
		{"not text", "/metrics/job/good/instance/a", "this is { not } text\n", nil, 400},
		{"bad value", "/metrics/job/good/instance/a", "good_value 0x1F\n", nil, 400},
		{"label without value", "/metrics/job/good/instance", "good_value 2\n", nil, 400},
		{"no job", "/metrics/job/", "good_value 2\n", nil, 307},
		{"empty job", "/metrics/job@base64/=", "good_value 2\n", nil, 400},
		{"bad base64", "/metrics/job@base64/+++", "good_value 2\n", nil, 400},
		{"job is not UTF-8", "/metrics/job/%FF", "good_value 2\n", nil, 400},
		{"reserved label name", "/metrics/job/good/__name__/x", "good_value 2\n", nil, 400},
		{"truncated gzip", "/metrics/job/good/instance/a", half[:len(half)/2], []string{"Content-Encoding", "gzip"}, 400},
		{"not gzip", "/metrics/job/good/instance/a", "good_value 2\n", []string{"Content-Encoding", "gzip"}, 400},
		{"gzip bomb of 1 GiB", "/metrics/job/good/instance/a", bomb, []string{"Content-Encoding", "gzip"}, 413},
		{
			"protobuf length prefix beyond the limit", "/metrics/job/good/instance/a",
			string(binary.AppendUvarint(nil, 256<<20+1)) + "abc",
			[]string{"Content-Type", protobufType},
			413,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, method := range []string{http.MethodPut, http.MethodPost} {
				code, answer, err := send(t.Context(), method, g.url+tt.path, tt.body, tt.headers)
				if err != nil || code != tt.want {
					t.Errorf("%s: %d %v, want %d\n%s", method, code, err, tt.want, answer)
				}
				if code/100 == 4 && strings.TrimSpace(answer) == "" {
					t.Errorf("%s: no message", method)
				}
			}
		})
	}
	if diff := cmp.Diff(before, mustGet(t, g.url+"/api/v1/metrics")); diff != "" {
		t.Errorf("state has changed (-before +after):\n%s", diff)
	}
	most := g.memory(t, "VmHWM")
	t.Logf("most memory held: %d MiB", most>>20)
	if most > 800<<20 {
		t.Errorf("pushbridge held %d MiB", most>>20)
	}
}

// gzipped compresses text, repeated up to size bytes.
func gzipped(text string, size int) string {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	block := []byte(strings.Repeat(text, max(1, min(size, 1<<20)/len(text))))
	for n := 0; n < size && err == nil; n += len(block) {
		_, err = z.Write(block)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic("e2e: gzip in memory: " + err.Error())
	}
	return b.String()
}
