package group

import (
	"testing"
	"unicode/utf8"
)

func TestParseMatchers(t *testing.T) {
	rows := []struct{ text, want string }{
		{`job="a"`, `{job="a"}`},
		{`{job="a"}`, `{job="a"}`},
		{` { job = a , instance != "b c" , } `, `{job="a",instance!="b c"}`},
		{`{job=~"ci-.*",instance!~'x|y'}`, `{job=~"ci-.*",instance!~"x|y"}`},
		{"{job=`a\\b`}", `{job="a\\b"}`},
		{`{job='it\'s "a"'}`, `{job="it's \"a\""}`},
		{`{"a.b"="ü\n"}`, `{"a.b"="ü\n"}`},
		{`{instance=""}`, `{instance=""}`},
		{`job=ci-1:x/y`, `{job="ci-1:x/y"}`},
		{``, `matchers "", at byte 1: there must be at least one matcher`},
		{`{}`, `matchers "{}", at byte 3: there must be at least one matcher`},
		{`{job="a"`, `matchers "{job=\"a\"", at byte 9: expected a comma or a closing brace`},
		{`job="a"}`, `matchers "job=\"a\"}", at byte 8: unexpected text`},
		{`{job="a" instance="b"}`, `matchers "{job=\"a\" instance=\"b\"}", at byte 10: expected a comma or a closing brace`},
		{`{job}`, `matchers "{job}", at byte 5: expected one of =, !=, =~ and !~`},
		{`{job=}`, `matchers "{job=}", at byte 6: expected a value, in quotes when it is empty`},
		{`{="a"}`, `matchers "{=\"a\"}", at byte 2: expected the name of a label`},
		{`{job="a}`, `matchers "{job=\"a}", at byte 6: the quote is not closed`},
		{`{job="\q"}`, `matchers "{job=\"\\q\"}", at byte 6: what stands in quotes cannot be read`},
		{`up{job="a"}`, `matchers "up{job=\"a\"}", at byte 3: groups are selected by their labels, and have no metric name`},
		{`{job=~"("}`, "matchers \"{job=~\\\"(\\\"}\", at byte 7: error parsing regexp: missing closing ): `(`"},
	}
	for _, row := range rows {
		m, err := ParseMatchers(row.text)
		got := m.String()
		if err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.text, got, row.want)
		}
	}
}

func TestMatch(t *testing.T) {
	l := NewLabels([]Label{{"job", "ci-1"}, {"zone", "a"}})
	for text, want := range map[string]bool{
		`job="ci-1"`: true, `job="ci"`: false, `job=~"ci"`: false, `job=~"ci-."`: true, `job!~"ci-."`: false,
		`instance=""`: true, `instance!=""`: false, `instance=~".*"`: true, `job="ci-1",zone="b"`: false, `job="ci-1",zone!="b"`: true,
	} {
		m, err := ParseMatchers(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Match(l); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

// FuzzParseMatchers checks that what was understood reads the same when it is
// printed, and that nothing makes the parser panic.
func FuzzParseMatchers(f *testing.F) {
	for _, s := range []string{`{job=~"ci-.*",instance!='a'}`, "a=`b`", `"x y"!~""`, `{`, `a="\xff"`, `a=b,`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMatchers(text)
		if err != nil {
			return
		}
		again, err := ParseMatchers(m.String())
		if err != nil || again.String() != m.String() {
			t.Errorf("%q is %s, and that is %s, %v", text, m, again, err)
		}
		for _, one := range m {
			if !utf8.ValidString(one.Value) {
				t.Errorf("%q: value %q", text, one.Value)
			}
		}
	})
}
