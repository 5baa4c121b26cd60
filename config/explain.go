package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v2"
)

var errNotURL = errors.New("not a URL")

// plainWords replaces what the decoder says about types of ours, which helps
// nobody, and leaves out the values that it quotes: one that stands in the wrong
// place may be a password. They are compiled when the first error is explained: every
// command would have to wait for them at its start.
func plainWords() []plainWord {
	explaining.once.Do(func() { explaining.words = compileWords() })
	return explaining.words
}

var explaining struct {
	once  sync.Once
	words []plainWord
}

func compileWords() []plainWord {
	return []plainWord{
		{regexp.MustCompile(`field ([^\s:=]+) not found in type \S+`), `unknown field "$1"`},
		{regexp.MustCompile(`(?s)field ([^\s:=]*)[\s:=].* not found in type \S+`), `unknown field: "$1" needs a colon and a blank behind it`},
		{regexp.MustCompile(`(?:field|key) "?([^" ]+)"? already set in (?:type \S+|map)`), `field "$1" is given twice`},
		{regexp.MustCompile(`(?s)cannot unmarshal (!!\w+) ` + "`.*`" + ` into`), `cannot unmarshal $1 into`},
		{regexp.MustCompile(`(?s)cannot unmarshal [^!].* into`), `cannot unmarshal a value with a tag into`},
		{regexp.MustCompile(`(?s)cannot unmarshal !([^!].*|) into`), `cannot unmarshal a value with a tag into`},
		{regexp.MustCompile(`into \[\]\*?\w+(\.\S+)?$`), "into a list"},
		{regexp.MustCompile(`cannot unmarshal (!!\w+) into \w+\.\w+$`), "a value of type $1 cannot stand here"},
		{regexp.MustCompile(`cannot unmarshal (a value with a tag) into \w+\.\w+$`), "$1 cannot stand here"},
		{regexp.MustCompile(`(?s)cannot decode (!!\w+) ` + "`.*`" + ` as a .*`), `cannot decode $1 as its tag says`},
		{regexp.MustCompile(`(?s)unknown anchor '.*' referenced`), "a value that begins with * needs quotes"},
		{regexp.MustCompile(`(?s)invalid map key: .*`), "a name in braces is no text: a value that begins with { needs quotes"},
	}
}

// plainWord is what the decoder says, and what is said in its place.
type plainWord struct {
	said  *regexp.Regexp
	plain string
}

// Explain puts an error of the YAML decoder in the user's words, without any value
// of the file. A URL that cannot be parsed is left out too: it may hold a password.
func Explain(err error) error {
	if _, ok := errors.AsType[*url.Error](err); ok {
		where, _, _ := strings.Cut(err.Error(), ": parse ")
		return fmt.Errorf("%s: %w", where, errNotURL)
	}
	wrong, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		if said := err.Error(); plain(said) != said {
			return errors.New(plain(said))
		}
		return err
	}
	lines := slices.Clone(wrong.Errors)
	for i := range lines {
		lines[i] = plain(lines[i])
	}
	return errors.New(strings.Join(lines, "; "))
}

func plain(said string) string {
	for _, w := range plainWords() {
		said = w.said.ReplaceAllString(said, w.plain)
	}
	return said
}
