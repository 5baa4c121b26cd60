package client

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPath(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []Label
		want string
	}{
		{"job", []Label{{"job", "nightly"}}, "/metrics/job/nightly"},
		{"another label", []Label{{"job", "a"}, {"instance", "h:1"}}, "/metrics/job/a/instance/h:1"},
		{"blank and plus", []Label{{"job", "a b+c"}}, "/metrics/job/a%20b+c"},
		{"slash", []Label{{"job", "a/b"}}, "/metrics/job@base64/YS9i"},
		{"slash in a label", []Label{{"job", "a"}, {"path", "/var"}}, "/metrics/job/a/path@base64/L3Zhcg"},
		{"empty value", []Label{{"job", "a"}, {"x", ""}}, "/metrics/job/a/x@base64/="},
		{"dots are cleaned away", []Label{{"job", ".."}, {"x", "."}}, "/metrics/job@base64/Li4/x@base64/Lg"},
		{"percent sign", []Label{{"job", "5%2F"}}, "/metrics/job@base64/NSUyRg"},
		{"UTF-8 value", []Label{{"job", "ü"}}, "/metrics/job/%C3%BC"},
		{"UTF-8 name", []Label{{"job", "a"}, {"my.label", "x"}}, "/metrics/job/a/U__my_2e_label/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := path(tt.in); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNewGrouping(t *testing.T) {
	for _, tt := range []struct {
		name  string
		job   string
		pairs []string
		want  string // the error
	}{
		{"job alone", "a", nil, ""},
		{"value with an equals sign", "a", []string{"x=y=z"}, ""},
		{"no job", "", nil, "the job must have a name"},
		{"no value", "a", []string{"x"}, `"x" must be of the form name=value`},
		{"no name", "a", []string{"=x"}, `"" is no name of a label`},
		{"reserved name", "a", []string{"__x=y"}, `"__x" is no name of a label`},
		{"twice", "a", []string{"x=1", "x=2"}, `label "x" is given twice`},
		{"job twice", "a", []string{"job=b"}, `label "job" is given twice`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewGrouping(tt.job, tt.pairs)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestBaseURL(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"localhost:9091", "http://localhost:9091"},
		{"https://h/prefix/", "https://h/prefix"},
		{"http://u:secret@h", "http://u:secret@h"},
		{"ftp://u:secret@h", `"ftp://u:xxxxx@h" must be of the form http://host:port/prefix`},
		{"http://h/?x=y", `"http://h/?x=y" must be of the form http://host:port/prefix`},
		{"", `"http:" must be of the form http://host:port/prefix`},
		{"http://u:secret@[h", "not a URL"},
	} {
		got, err := baseURL(tt.in)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.in, got, tt.want)
		}
	}
}
