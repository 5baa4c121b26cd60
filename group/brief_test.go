package group

import (
	"strings"
	"testing"
)

func TestBrief(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		strings.Repeat("x", 200):        strings.Repeat("x", 200),
		strings.Repeat("x", 201):        strings.Repeat("x", 200) + "…",
		"x" + strings.Repeat("é", 1000): "x" + strings.Repeat("é", 99) + "…",
	} {
		if got := Brief(in); got != want {
			t.Errorf("Brief of %d bytes is %q", len(in), got)
		}
	}
	few := Labels{{"a", "b\n"}, {"job", `"j"`}}
	if got := few.Brief(); got != few.String() {
		t.Errorf("got %s, want %s", got, few)
	}
	many := make(Labels, 100_000)
	for i := range many {
		many[i] = Label{"name", strings.Repeat("\\", 1000)}
	}
	if got := many.Brief(); len(got) > 2000 || !strings.HasSuffix(got, "…}") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}
