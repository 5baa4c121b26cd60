package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMigration carries the state of a Pushgateway to pushbridge and back, each
// time by starting the other one on the persistence file. Nothing is lost, the
// push times included.
func TestMigration(t *testing.T) {
	file, storage := filepath.Join(t.TempDir(), "pushgateway.data"), t.TempDir()
	b := newInProcess(t, bothProtocols, nil)
	ours := func() *gateway {
		return startPushbridgeIn(t, storage, "--persistence.file="+file, "--remote-write.url="+b.writeURL())
	}
	theirs := func() *gateway { return startPushgateway(t, "--persistence.file="+file) }

	g := theirs()
	g.put(t, "nightly/instance/db1", nightly)
	g.put(t, "nightly/path@base64/L3Zhci90bXA", "strange{v=\"\"} NaN\nstrange{v=\"x\"} -Inf\n")
	g.put(t, "empty", "")
	g.post(t, "some/name@base64/w7w", "# HELP proto help\n# TYPE proto counter\nproto 1e300\n")
	if code, _, err := send(t.Context(), http.MethodPut, g.url+"/metrics/job/failed", "m 1 123\n", nil); err != nil || code != http.StatusBadRequest {
		t.Fatalf("push with a timestamp: %d %v", code, err)
	}
	eventually(t, "failed group", func() error {
		if apiGroups(t, g)[`{"job":"failed"}`] == nil {
			return errors.New("no failed group")
		}
		return nil
	})
	want := exactFamilies(t, g)
	stopWell(t, g)

	g = ours()
	same(t, "after the way to pushbridge", want, g)
	waitQuery(t, b, pushed, append(nightlySeries(), `strange{job="nightly",path="/var/tmp",v="x"} -Inf`, `strange{job="nightly",path="/var/tmp"} NaN`)...)
	g.put(t, "new", "new_value 5\n")
	g.delete(t, "some/name@base64/w7w")
	want = exactFamilies(t, g)
	stopWell(t, g)

	g = theirs()
	same(t, "after the way back", want, g)
	g.put(t, "new", "new_value 6\n")
	want = exactFamilies(t, g)
	stopWell(t, g)

	// pushbridge has its own state by now: the newer push of each group wins.
	g = ours()
	same(t, "with a file that another one has written", want, g)
	waitQuery(t, b, `new_value`, `new_value{job="new"} 6`)
	stopWell(t, g)

	// A damaged file is said and kept.
	if err := os.WriteFile(file, []byte("this is not a gob"), 0o600); err != nil {
		t.Fatal(err)
	}
	g = ours()
	same(t, "with a damaged file", want, g)
	stopWell(t, g)
	if kept, err := filepath.Glob(file + "?*"); err != nil || len(kept) == 0 {
		t.Errorf("the damaged file is not kept beside: %v %v", kept, err)
	}
}

func stopWell(t *testing.T, g *gateway) {
	t.Helper()
	if code := g.stop(t); code != 0 {
		t.Fatalf("%s ended with %d:\n%s", g.name, code, g.tail())
	}
}

func same(t *testing.T, when string, want map[string][]string, g *gateway) {
	t.Helper()
	eventuallyWithin(t, 5*time.Second, "same state "+when, func() error {
		if diff := cmp.Diff(want, exactFamilies(t, g)); diff != "" {
			return errors.New("(-before +after):\n" + diff)
		}
		return nil
	})
}
