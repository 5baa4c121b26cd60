package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClientThatWants202 pushes with client_golang 1.0.0, which takes a 200 for
// an error, as the Pushgateways of its time answered 202. The push is kept all
// the same; --push.disable-consistency-check brings the 202 back.
func TestClientThatWants202(t *testing.T) {
	path := filepath.Join(t.TempDir(), "oldclient")
	command(t, "golang", "testdata/oldclient", onPath(t, "go", "golang"), "build", "-o", path, ".")
	for _, tt := range []struct {
		name  string
		args  []string
		start func(testing.TB, ...string) *gateway
		want  string // what the client says, empty when it is content
	}{
		{"pushbridge", nil, startPushbridge, "unexpected status code 200"},
		{"pushbridge, unchecked", []string{"--push.disable-consistency-check"}, startPushbridge, ""},
		{"Pushgateway", nil, startCurrentPushgateway, "unexpected status code 200"},
		{"Pushgateway, unchecked", []string{"--push.disable-consistency-check"}, startCurrentPushgateway, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := tt.start(t, tt.args...)
			out, err := exec.CommandContext(t.Context(), path, g.url).CombinedOutput()
			if !strings.Contains(string(out), tt.want) || (err == nil) != (tt.want == "") {
				t.Errorf("got %v and %q, want %q", err, out, tt.want)
			}
			if g.families(t)["old_client"] == nil {
				t.Error("the push was not kept")
			}
		})
	}
}
