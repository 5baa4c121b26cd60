package docs

import (
	"os"
	"regexp"
	"testing"
)

// TestUpgradeNamesTheVersions holds the versions of files in upgrade.md to those in
// queue-format.md.
func TestUpgradeNamesTheVersions(t *testing.T) {
	find := func(page, expr string) string {
		t.Helper()
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile("(?m)" + expr).FindSubmatch(b)
		if m == nil {
			t.Fatalf("%s has no %s", page, expr)
		}
		return string(m[1])
	}
	for file, format := range map[string]string{
		"segments": `pbq-segm│ version \((\d+)\)`, "snapshots": `pbq-snap│ version \((\d+)\)`, "cursors": "`pbq-curs`, version \\((\\d+)\\)",
	} {
		if got, want := find("upgrade.md", `^\| `+file+` \| (\d+) \|`), find("queue-format.md", format); got != want {
			t.Errorf("upgrade.md has version %s of %s, queue-format.md has %s", got, file, want)
		}
	}
}
