// Command testcount runs "go test -json", shows what go test itself would
// show of it, and counts tests.
//
//	testcount [-names FILE] [-strict] go test -json ./...
//	testcount -sum FILE
//
// A test with subtests is not counted itself, its subtests are, unless it
// failed on its own. A package that fails without a failed test (it does not
// build, or a TestMain fails) counts as one failure. The exit code is 1 when
// anything failed, when no test ran, and with -strict also when a test was
// skipped: a skipped test proves nothing.
//
// With -names the outcome of each test is added to FILE, so that several runs
// can be summed up by -sum: a test that ran twice counts once, by its worst
// outcome.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	names := flag.String("names", "", "add the outcome of each test to this `file`")
	strict := flag.Bool("strict", false, "fail when a test is skipped")
	sum := flag.String("sum", "", "only sum up the outcomes in this `file`")
	flag.Parse()
	ok, err := run(*names, *sum, *strict, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(names, sum string, strict bool, command []string) (bool, error) {
	if sum != "" {
		outcomes, err := readNames(sum)
		if err != nil {
			return false, err
		}
		passed, failed, skipped := tally(outcomes)
		fmt.Println(summary(passed, failed, skipped))
		return failed == 0, nil
	}
	if len(command) == 0 {
		return false, errors.New("no command given, as in: testcount go test -json")
	}
	outcomes, clean, err := watch(command)
	if err != nil {
		return false, err
	}
	if names != "" {
		if err := addNames(names, outcomes); err != nil {
			return false, err
		}
	}
	passed, failed, skipped := tally(outcomes)
	fmt.Println(summary(passed, failed, skipped))
	if passed+failed == 0 {
		return false, errors.New("no test ran")
	}
	return clean && failed == 0 && (skipped == 0 || !strict), nil
}

// watch runs the command and reads its events. clean tells whether the command
// itself ended well.
func watch(command []string) (outcomes map[string]string, clean bool, err error) {
	cmd := exec.CommandContext(context.Background(), command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, false, err
	}
	if err := cmd.Start(); err != nil {
		return nil, false, err
	}
	c := newCounter(os.Stdout)
	if err := c.read(out); err != nil {
		return nil, false, err
	}
	err = cmd.Wait()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		return nil, false, err
	}
	return c.outcomes(), err == nil, nil
}

// event is a line of go test -json, as "go doc test2json" describes it.
type event struct {
	Action, Package, Test, Output string
}

// counter gathers outcomes and passes on what a person wants to see.
type counter struct {
	to     io.Writer
	output map[string][]string // of each test and package, until it is known whether it failed
	end    map[string]string   // "package test" -> pass, fail, skip
	parent map[string]bool     // tests with subtests
	failed map[string]int      // packages: failed tests
}

func newCounter(to io.Writer) *counter {
	return &counter{
		to: to, output: map[string][]string{}, end: map[string]string{},
		parent: map[string]bool{}, failed: map[string]int{},
	}
}

func (c *counter) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(c.to, "%s", line) // not an event: go itself has something to say
			} else {
				c.take(e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *counter) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			c.parent[e.Package+" "+e.Test[:i]] = true
		}
	case "output":
		c.output[key] = append(c.output[key], e.Output)
	case "build-output":
		fmt.Fprint(c.to, e.Output)
	case "pass", "skip", "fail":
		c.finish(e, key)
	}
}

// finish notes how a test or package ended. Output of what passed is dropped,
// but for the package's own line.
func (c *counter) finish(e event, key string) {
	lines := c.output[key]
	delete(c.output, key)
	if e.Test == "" {
		c.finishPackage(e, key, lines)
		return
	}
	c.end[key] = e.Action
	if e.Action != "pass" {
		fmt.Fprint(c.to, strings.Join(lines, ""))
	}
	if e.Action == "fail" {
		c.failed[e.Package]++
	}
}

func (c *counter) finishPackage(e event, key string, lines []string) {
	if e.Action == "fail" {
		c.unfinished(e.Package)
		if c.failed[e.Package] == 0 {
			c.end[key] = "fail"
		}
	} else if len(lines) > 0 {
		lines = lines[len(lines)-1:]
	}
	fmt.Fprint(c.to, strings.Join(lines, ""))
}

// unfinished shows what tests printed that never ended: the panic is there.
func (c *counter) unfinished(pkg string) {
	for key, lines := range c.output {
		if strings.HasPrefix(key, pkg+" ") {
			fmt.Fprint(c.to, strings.Join(lines, ""))
			delete(c.output, key)
		}
	}
}

// outcomes leaves out tests that only hold subtests, unless they failed while
// all of their subtests passed.
func (c *counter) outcomes() map[string]string {
	hasFailed := map[string]bool{}
	for key, end := range c.end {
		if end == "fail" {
			for i, b := range key {
				if b == '/' {
					hasFailed[key[:i]] = true
				}
			}
		}
	}
	all := map[string]string{}
	for key, end := range c.end {
		if !c.parent[key] || (end == "fail" && !hasFailed[key]) {
			all[key] = end
		}
	}
	return all
}

func tally(outcomes map[string]string) (passed, failed, skipped int) {
	for _, end := range outcomes {
		switch end {
		case "pass":
			passed++
		case "fail":
			failed++
		default:
			skipped++
		}
	}
	return passed, failed, skipped
}

func summary(passed, failed, skipped int) string {
	s := fmt.Sprintf("%d passed, %d failed", passed, failed)
	if skipped > 0 {
		s += fmt.Sprintf(", %d skipped", skipped)
	}
	return s
}

func addNames(file string, outcomes map[string]string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for key, end := range outcomes {
		fmt.Fprintf(w, "%s %s\n", end, key)
	}
	return errors.Join(w.Flush(), f.Close())
}

// readNames sums up what several runs added: the worst outcome of each test.
func readNames(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	worse := map[string]int{"": 0, "pass": 1, "skip": 2, "fail": 3}
	outcomes := map[string]string{}
	for line := range strings.Lines(string(text)) {
		end, key, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if worse[end] > worse[outcomes[key]] {
			outcomes[key] = end
		}
	}
	return outcomes, nil
}
