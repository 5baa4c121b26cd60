package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// pushbridgePath is the path of the pushbridge under test, buildDir a folder for
// what the tests build. It goes when they end.
var pushbridgePath, buildDir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds pushbridge once for all tests. PUSHBRIDGE_BINARY names one that
// exists instead, for trying a release.
func run(m *testing.M) int {
	if len(os.Args) == 4 && os.Args[1] == floorCommand {
		fmt.Fprintln(os.Stderr, runFloor(os.Args[2], os.Args[3]))
		return 1
	}
	dir, err := os.MkdirTemp("", "pushbridge-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	buildDir = dir
	if pushbridgePath = os.Getenv("PUSHBRIDGE_BINARY"); pushbridgePath != "" {
		return m.Run()
	}
	pushbridgePath = filepath.Join(dir, "pushbridge")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", pushbridgePath, "./cmd/pushbridge")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build pushbridge: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
