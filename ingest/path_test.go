package ingest

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/group"
)

// keyOf takes an escaped request path through the steps that a request takes.
func keyOf(t testing.TB, path string, utf8Names bool) (group.Labels, error) {
	t.Helper()
	u, err := url.ParseRequestURI(path)
	if err != nil {
		t.Fatal(err)
	}
	target, ok := match("", u.Path)
	if !ok {
		t.Fatalf("%s is no path of the push API", path)
	}
	return target.groupingKey(utf8Names)
}

func TestPath(t *testing.T) {
	for _, tc := range []struct {
		name string
		path string
		utf8 bool
		want string // the grouping key, or the error behind "!"
	}{
		{name: "job alone", path: "/metrics/job/a", want: `{job="a"}`},
		{name: "trailing slash after the job", path: "/metrics/job/a/", want: `{job="a"}`},
		{name: "labels are sorted", path: "/metrics/job/a/z/1/b/2", want: `{b="2",job="a",z="1"}`},
		{name: "trailing slash after a label is the empty value", path: "/metrics/job/a/x/", want: `{job="a",x=""}`},
		{name: "label without value", path: "/metrics/job/a/x", want: `!odd number of components in label string "/x": each label name needs a value (a value that holds a slash, or nothing, goes as LABEL@base64/VALUE)`},
		{name: "escaped slash separates", path: "/metrics/job/a%2Fx%2Fy", want: `{job="a",x="y"}`},
		{name: "escaped slash makes the count odd", path: "/metrics/job/a/x/y%2Fz", want: `!odd number of components in label string "/x/y/z"`},
		{name: "escaped slash makes an empty name", path: "/metrics/job/a/%2Fx", want: `!improper label name "" in the path`},
		{name: "escaped dots are a value", path: "/metrics/job/%2E%2E", want: `{job=".."}`},
		{name: "plus stays plus", path: "/metrics/job/a+b/x/c+d", want: `{job="a+b",x="c+d"}`},
		{name: "escaped space", path: "/metrics/job/a%20b", want: `{job="a b"}`},
		{name: "first job wins", path: "/metrics/job/a/job/b", want: `{job="a"}`},
		{name: "last of a repeated label wins", path: "/metrics/job/a/x/1/x/2/x@base64/Mw", want: `{job="a",x="3"}`},
		{name: "label order does not matter", path: "/metrics/job/a/x/1/b/2", want: `{b="2",job="a",x="1"}`},

		{name: "base64 job", path: "/metrics/job@base64/L3Zhci90bXA", want: `{job="/var/tmp"}`},
		{name: "base64 label", path: "/metrics/job/a/path@base64/L3Zhci90bXA", want: `{job="a",path="/var/tmp"}`},
		{name: "base64 of the URL-safe alphabet", path: "/metrics/job/a/x@base64/8J-RjT8_", want: `{job="a",x="👍??"}`},
		{name: "base64 padding", path: "/metrics/job/a/x@base64/YQ==", want: `{job="a",x="a"}`},
		{name: "base64 padding beyond need", path: "/metrics/job/a/x@base64/YQ=====", want: `{job="a",x="a"}`},
		{name: "base64 stray bits", path: "/metrics/job/a/x@base64/YR", want: `{job="a",x="a"}`},
		{name: "base64 newlines", path: "/metrics/job/a/x@base64/Y%0AQ%0D", want: `{job="a",x="a"}`},
		{name: "lone equals is the empty value", path: "/metrics/job/a/x@base64/=", want: `{job="a",x=""}`},
		{name: "empty base64", path: "/metrics/job/a/x@base64/", want: `{job="a",x=""}`},
		{name: "base64 of the standard alphabet", path: "/metrics/job/a/x@base64/8J+RjQ", want: `!invalid base64 in label x="8J+RjQ" (the URL-safe alphabet is expected): illegal base64 data at input byte 2`},
		{name: "bad base64 job", path: "/metrics/job@base64/a+b", want: `!invalid base64 in job name "a+b" (the URL-safe alphabet is expected): illegal base64 data at input byte 1`},
		{name: "base64 suffix on nothing", path: "/metrics/job/a/@base64/YQ", want: `!improper label name "" in the path`},
		{name: "base64 suffix in capitals", path: "/metrics/job/a/x@BASE64/YQ", want: `!improper label name "x@BASE64" in the path: names outside`},

		{name: "bad base64 of the job comes first", path: "/metrics/job@base64/+/x", want: `!invalid base64 in job name "+"`},
		{name: "bad labels come before the empty job", path: "/metrics/job@base64/=/x", want: `!odd number of components`},
		{name: "empty job", path: "/metrics/job@base64/=", want: `!job name is required`},
		{name: "empty job by escaped slashes", path: "/metrics/job/%2Fx/y", want: `!job name is required`},
		{name: "overruled job must decode", path: "/metrics/job/a/job@base64/+", want: `!invalid base64 in label job="+"`},

		{name: "reserved label name", path: "/metrics/job/a/__x/y", want: `!improper label name "__x" in the path: names that begin with __ are reserved`},
		{name: "improper label name", path: "/metrics/job/a/1x/y", want: `!improper label name "1x" in the path: names outside [a-zA-Z_][a-zA-Z0-9_]* need --push.enable-utf8-names`},
		{name: "one underscore is no reserved name", path: "/metrics/job/a/_x/y", want: `{_x="y",job="a"}`},

		{name: "job that is not UTF-8", path: "/metrics/job/%FF", want: `!value of label "job" in the path is not valid UTF-8: "\xff"`},
		{name: "value that is not UTF-8", path: "/metrics/job/a/x/%C3%28", want: `!value of label "x" in the path is not valid UTF-8: "\xc3("`},
		{name: "base64 value that is not UTF-8", path: "/metrics/job/a/x@base64/_w", want: `!value of label "x" in the path is not valid UTF-8: "\xff"`},
		{name: "UTF-8 values", path: "/metrics/job/%C3%BC/x/%E2%82%AC", want: `{job="ü",x="€"}`},

		{name: "UTF-8 label name needs the flag", path: "/metrics/job/a/b.c/d", want: `!improper label name "b.c" in the path: names outside [a-zA-Z_][a-zA-Z0-9_]* need --push.enable-utf8-names`},
		{name: "escapes are literal without the flag", path: "/metrics/job/a/U__b_2e_c/d", want: `{U__b_2e_c="d",job="a"}`},
		{name: "UTF-8 label name with the flag", path: "/metrics/job/a/b.c/d", utf8: true, want: `{b.c="d",job="a"}`},
		{name: "U__ escapes are decoded with the flag", path: "/metrics/job/a/U__b_2e_c/d", utf8: true, want: `{b.c="d",job="a"}`},
		{name: "U__ escapes with base64", path: "/metrics/job/a/U__b_2e_c@base64/ZA", utf8: true, want: `{b.c="d",job="a"}`},
		{name: "broken U__ escapes are literal", path: "/metrics/job/a/U__b_zz_/d", utf8: true, want: `{U__b_zz_="d",job="a"}`},
		{name: "reserved label name hidden by escapes", path: "/metrics/job/a/U______x/d", utf8: true, want: `!improper label name "U______x"`},
		{name: "label name that is not UTF-8", path: "/metrics/job/a/%FF/d", utf8: true, want: `!improper label name "\xff" in the path`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, err := keyOf(t, tc.path, tc.utf8)
			got := key.String()
			if err != nil {
				got = "!" + err.Error()
			}
			if strings.HasPrefix(tc.want, "!") && strings.HasPrefix(got, tc.want) {
				got = tc.want // the row need not spell out the whole message
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.path, diff)
			}
		})
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"/metrics/job/a/x/y", "/metrics/job@base64/YQ/x@base64/=", "/metrics/job//", "/METRICS/job/%FF", "/metrics/job/a/U__x_2e_/1"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, path string, utf8Names bool) {
		p, _ := canonical("", path)
		if again, ok := canonical("", p); p != "" && (!ok || again != p) {
			t.Errorf("canonical(%q) = %q, of that %q", path, p, again)
		}
		target, ok := match("", path)
		if !ok {
			return
		}
		key, err := target.groupingKey(utf8Names)
		if err != nil {
			if status, _, _ := classify(err); status != 400 {
				t.Errorf("%q: status %d for %v", path, status, err)
			}
			return
		}
		checkKey(t, key)
	})
}

// checkKey says what every grouping key must be, whatever it was made from.
func checkKey(t *testing.T, key group.Labels) {
	t.Helper()
	if key.Job() == "" {
		t.Errorf("no job in %v", key)
	}
	for i, l := range key {
		if i > 0 && key[i-1].Name >= l.Name {
			t.Errorf("not sorted, or not unique: %v", key)
		}
		if !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
			t.Errorf("not UTF-8: %q", key)
		}
		if l.Name == "" || strings.HasPrefix(l.Name, "__") {
			t.Errorf("improper name: %q", key)
		}
	}
}
