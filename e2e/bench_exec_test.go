package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// execCommand says when it began and ended, and what its parent holds meanwhile.
const execCommand = `date +%s%N; sleep $1; grep -E '^(VmHWM|RssAnon)' /proc/$PPID/status; date +%s%N`

// bareProgram is what a Go program costs that knows HTTP and does nothing.
const bareProgram = `package main

import (
	"net/http"
	"os"
	"os/exec"
)

var client = http.DefaultClient

func main() {
	c := exec.Command(os.Args[1], os.Args[2:]...)
	c.Stdout = os.Stdout
	if c.Run() != nil {
		os.Exit(1)
	}
}
`

// BenchmarkExec tells what pushbridge exec adds to a command, beside a bare Go program that runs the
// same: until the command begins, and from its end until the exit code is there.
func BenchmarkExec(b *testing.B) {
	g := startPushbridge(b)
	defer g.kill()
	bare := buildBare(b)
	ways := []struct {
		name string
		args []string
	}{
		{"alone", nil},
		{"bare", []string{bare}},
		{"exec", []string{pushbridgePath, "exec", "--job=bench", "--url=" + g.url, "--"}},
	}
	for _, seconds := range []string{"0", "0.1"} {
		for _, way := range ways {
			b.Run("sleep="+seconds+"/"+way.name, func(b *testing.B) {
				var runs execRuns
				for b.Loop() {
					runs.add(b, append(slices.Clip(way.args), "sh", "-c", execCommand, "sh", seconds))
				}
				runs.report(b)
			})
		}
	}
}

func buildBare(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(bareProgram), 0o600); err != nil {
		b.Fatal(err)
	}
	binary := filepath.Join(dir, "bare")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// execRuns are those of one way, in milliseconds and MiB.
type execRuns struct {
	begin, end, cpu []time.Duration
	peak, anon      float64
}

func (r *execRuns) add(b *testing.B, args []string) {
	before := time.Now()
	cmd := exec.CommandContext(b.Context(), args[0], args[1:]...)
	out, err := cmd.Output()
	after := time.Now()
	fields := strings.Fields(string(out))
	if err != nil || len(fields) != 8 {
		b.Fatalf("%v, %q", err, out)
	}
	number := func(i int) int64 {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	r.begin = append(r.begin, time.Unix(0, number(0)).Sub(before))
	r.end = append(r.end, after.Sub(time.Unix(0, number(7))))
	r.cpu = append(r.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	r.peak = max(r.peak, float64(number(2))/1024)
	r.anon = max(r.anon, float64(number(5))/1024)
}

func (r *execRuns) report(b *testing.B) {
	b.ReportMetric(0, "ns/op")
	for name, all := range map[string][]time.Duration{"begin": r.begin, "end": r.end, "cpu": r.cpu} {
		b.ReportMetric(float64(slices.Min(all).Microseconds())/1000, name+"-min-ms")
	}
	b.ReportMetric(r.peak, "peak-MiB")
	b.ReportMetric(r.anon, "anon-MiB")
}
