package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

var updateScripts = flag.Bool("update", false, "rewrite the files that scripts compare with")

// TestMain makes the binary itself a command of the scripts: "exec pushbridge"
// starts this test binary again, as pushbridge.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: main})
}

// TestScript runs testdata/script/*.txtar, each in a directory of its own.
// Besides the usual commands of testscript there are those of scriptCommands.
// A gateway in a script is started like this:
//
//	exec pushbridge --web.listen-address=127.0.0.1:0 --web.listen-address-file=addr &gateway&
//	waitfile addr GATEWAY
//	http PUT http://$GATEWAY/metrics/job/x metrics.prom
//	stdout '^200 OK'
//	kill -INT gateway
//	wait gateway
//
// Scripts wait for facts (a file, a line, an answer), never for time.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                scriptCommands,
		Setup:               setUpScript,
		Condition:           condition,
		UpdateScripts:       *updateScripts,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
	})
}

// underRace is whether the race detector is built in, which takes several times the memory.
var underRace bool

// signs is whether requests can be signed for AWS: the tag sigv4.
var signs bool

// condition is what scripts may ask beside what testscript knows.
func condition(name string) (bool, error) {
	switch name {
	case "race":
		return underRace, nil
	case "sigv4":
		return signs, nil
	}
	return false, fmt.Errorf("%q is no condition", name)
}

// setUpScript says where the file is that a real Pushgateway has written.
func setUpScript(env *testscript.Env) error {
	file, err := filepath.Abs("testdata/pushgateway-1.5.1.data")
	env.Setenv("PUSHGATEWAY_FILE", file)
	return err
}

var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"waitfile": waitFile,
	"waitline": waitLine,
	"waithttp": waitHTTP,
	"http":     scriptHTTP,
	"flip":     flipBit,
	"sigterm":  sigTerm,
	"sighup":   sigHup,
	"cmpshown": compareShown,
	"capture":  capture,
}

// waitFile is "waitfile FILE [VARIABLE]": it waits until FILE holds a whole
// line, and sets the variable to the first one.
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: waitfile FILE [VARIABLE]")
	}
	await(ts, args[0]+" holds a line", func() bool {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		line, _, whole := strings.Cut(string(text), "\n")
		if err != nil || !whole {
			return false
		}
		if len(args) == 2 {
			ts.Setenv(args[1], line)
		}
		return true
	})
}

// waitLine is "waitline FILE REGEXP": it waits until a line of FILE matches.
func waitLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitline FILE REGEXP")
	}
	want := compile(ts, args[1])
	await(ts, args[0]+" matches "+args[1], func() bool {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && want.Match(text)
	})
}

// waitHTTP is "[!] waithttp URL REGEXP": it asks again and again until the answer,
// printed as http prints it, matches.
func waitHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] waithttp URL REGEXP")
	}
	want := compile(ts, args[1])
	last := ""
	await(ts, fmt.Sprintf("%s matching %s is %t", args[0], args[1], !neg), func() bool {
		answer, err := request(ts, []string{http.MethodGet, args[0]})
		if err != nil {
			answer = err.Error()
		}
		if answer != last {
			ts.Logf("%s", answer)
			last = answer
		}
		return err == nil && want.MatchString(answer) != neg
	})
}

// scriptHTTP is "http METHOD URL [BODY-FILE] [HEADER: VALUE]...". It prints the
// status, the headers in order of name, an empty line, and the body. Redirects
// are not followed. With ! the request must not be answered at all.
func scriptHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: http METHOD URL [BODY-FILE] ['HEADER: VALUE']...")
	}
	answer, err := request(ts, args)
	if neg != (err != nil) {
		ts.Fatalf("%s %s: %v", args[0], args[1], err)
	}
	fmt.Fprint(ts.Stdout(), answer)
}

func request(ts *testscript.TestScript, args []string) (string, error) {
	var body io.Reader
	headers := args[2:]
	if len(headers) > 0 && !strings.Contains(headers[0], ": ") {
		body = strings.NewReader(ts.ReadFile(headers[0]))
		headers = headers[1:]
	}
	req, err := http.NewRequest(args[0], args[1], body) //nolint:noctx // a script has no context; the client has a deadline
	ts.Check(err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := scriptClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if err := checkAnswer(req.Method, req.URL.Path, resp.StatusCode, resp.Header, string(answer)); err != nil {
		ts.Fatalf("%s %s is not answered as web/openapi.yaml says: %v\n%s", req.Method, req.URL, err, answer)
	}
	return printResponse(resp, answer), nil
}

// scriptClient shows what the server sent: no redirects, no decompression.
var scriptClient = &http.Client{
	Timeout:       scriptDeadline,
	Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func printResponse(resp *http.Response, body []byte) string {
	var lines []string
	for name, values := range resp.Header {
		if name != "Date" {
			lines = append(lines, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(lines)
	return resp.Status + "\n" + strings.Join(append(lines, "", string(body)), "\n")
}

// compareShown is "cmpshown FILE": it compares the series that the last answer, a
// /metrics view, shows of pushes, in order of name and labels. A value of * stands
// for any.
func compareShown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cmpshown FILE")
	}
	var got []string
	_, body, _ := strings.Cut(ts.ReadFile("stdout"), "\n\n")
	for line := range strings.Lines(body) {
		if strings.Contains(line, `job="`) {
			got = append(got, line)
		}
	}
	slices.Sort(got)
	want := slices.Collect(strings.Lines(ts.ReadFile(args[0])))
	for i := range min(len(got), len(want)) {
		if series, any := strings.CutSuffix(want[i], "*\n"); any && strings.HasPrefix(got[i], series) {
			got[i] = want[i]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		ts.Fatalf("(-want +got):\n%s", diff)
	}
}

// capture is "capture VARIABLE REGEXP": it sets the variable to what the first group of
// the expression matches in the last standard output.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture VARIABLE REGEXP")
	}
	m := compile(ts, args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("no match for %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// sigTerm is "sigterm": it sends SIGTERM, which kill does not know, to all that
// runs in the background.
func sigTerm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: sigterm")
	}
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}

// sigHup is "sighup": it asks the gateways that run in the background to reload.
// Receivers do not know the signal.
func sigHup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: sighup")
	}
	for _, c := range ts.BackgroundCmds() {
		if !slices.Contains(c.Args, "receive") {
			ts.Check(c.Process.Signal(syscall.SIGHUP))
		}
	}
}

// flipBit is "flip FILE OFFSET": it damages one byte.
func flipBit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	offset, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, offset)
	ts.Check(err)
	b[0] ^= 1
	_, err = f.WriteAt(b, offset)
	ts.Check(errors.Join(err, f.Close()))
}

const scriptDeadline = 30 * time.Second

// await polls for a fact. It never waits longer than it must.
func await(ts *testscript.TestScript, what string, fact func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(scriptDeadline)
	for !fact() {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("waited %s until %s: in vain", scriptDeadline, what)
		}
	}
}

func compile(ts *testscript.TestScript, expr string) *regexp.Regexp {
	re, err := regexp.Compile("(?m)" + expr)
	ts.Check(err)
	return re
}
