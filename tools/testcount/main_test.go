package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestCounter(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events string // package, test, action; - is no test
		want   string
	}{
		{"passed", "p A run, p A pass, p - pass", "1 passed, 0 failed"},
		{"subtests count, their parent does not", "p A run, p A/x run, p A/y run, p A/x pass, p A/y pass, p A pass, p - pass", "2 passed, 0 failed"},
		{"a subtest failed", "p A run, p A/x run, p A/y run, p A/x fail, p A/y pass, p A fail, p - fail", "1 passed, 1 failed"},
		{"a parent failed by itself", "p A run, p A/x run, p A/x pass, p A fail, p - fail", "1 passed, 1 failed"},
		{"skipped", "p A run, p A skip, p - pass", "0 passed, 0 failed, 1 skipped"},
		{"a package failed without a test", "p - fail", "0 passed, 1 failed"},
		{"the same name in two packages", "p A run, p A pass, q A run, q A fail, p - pass, q - fail", "1 passed, 1 failed"},
		{"no tests", "p - skip", "0 passed, 0 failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCounter(t.Output())
			if err := c.read(strings.NewReader(lines(tt.events))); err != nil {
				t.Fatal(err)
			}
			if got := summary(tally(c.outcomes())); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func lines(events string) string {
	var b strings.Builder
	for e := range strings.SplitSeq(events, ", ") {
		f := strings.Fields(e)
		fmt.Fprintf(&b, `{"Package":%q,"Test":%q,"Action":%q}`+"\n", f[0], strings.Trim(f[1], "-"), f[2])
	}
	return b.String()
}

func TestOutputOfFailuresOnly(t *testing.T) {
	var out strings.Builder
	c := newCounter(&out)
	err := c.read(strings.NewReader(`not an event
{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"B"}
{"Action":"output","Package":"p","Test":"B","Output":"loud\n"}
{"Action":"fail","Package":"p","Test":"B"}
{"Action":"run","Package":"p","Test":"C"}
{"Action":"output","Package":"p","Test":"C","Output":"panic\n"}
{"Action":"output","Package":"p","Output":"FAIL p\n"}
{"Action":"fail","Package":"p"}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "not an event\nloud\npanic\nFAIL p\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNamesSumUpByTheWorst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "names")
	for _, outcomes := range []map[string]string{
		{"p A": "pass", "p B": "fail", "p C with blanks": "pass"},
		{"p A": "pass", "p B": "pass", "p C with blanks": "skip"},
	} {
		if err := addNames(file, outcomes); err != nil {
			t.Fatal(err)
		}
	}
	outcomes, err := readNames(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := summary(tally(outcomes)), "1 passed, 1 failed, 1 skipped"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
