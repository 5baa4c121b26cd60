package group

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
)

// Matchers select groups by their grouping labels: all of them must match. A
// label that a group does not have counts as empty.
type Matchers []*labels.Matcher

// Match reports whether the group with labels l is selected.
func (m Matchers) Match(l Labels) bool {
	for _, one := range m {
		if !one.Matches(l.Get(one.Name)) {
			return false
		}
	}
	return true
}

// String prints m as ParseMatchers reads it.
func (m Matchers) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, one := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(one.String())
	}
	b.WriteByte('}')
	return b.String()
}

// ParseMatchers reads matchers as Alertmanager and PromQL write them:
// {job=~"ci-.*",instance!="a"}, or the same without braces. The operators are
// =, !=, =~ and !~. A value stands in quotes, or bare when it is a plain word; a
// name stands in quotes when it is no identifier. There must be at least one
// matcher, so that a slip does not select everything.
func ParseMatchers(text string) (Matchers, error) {
	p := matcherParser{rest: text}
	m, err := p.all()
	if err != nil {
		return nil, fmt.Errorf("matchers %s, at byte %d: %w", strconv.Quote(Brief(text)), len(text)-len(p.rest)+1, err)
	}
	return m, nil
}

// matcherParser reads from the front of rest.
type matcherParser struct{ rest string }

func (p *matcherParser) all() (Matchers, error) {
	p.space()
	braces := p.take("{")
	var out Matchers
	for {
		p.space()
		if p.rest == "" || p.rest[0] == '}' {
			break // a comma may stand at the end
		}
		m, err := p.one()
		if err != nil {
			return nil, err
		}
		out = append(out, m)
		p.space()
		if !p.take(",") {
			break
		}
	}
	if braces && !p.take("}") {
		return nil, errors.New("expected a comma or a closing brace")
	}
	p.space()
	switch {
	case p.rest != "":
		return nil, errors.New("unexpected text")
	case len(out) == 0:
		return nil, errors.New("there must be at least one matcher")
	}
	return out, nil
}

func (p *matcherParser) one() (*labels.Matcher, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	p.space()
	kind, err := p.operator()
	if err != nil {
		return nil, err
	}
	p.space()
	before := p.rest
	value, err := p.value()
	if err != nil {
		return nil, err
	}
	m, err := labels.NewMatcher(kind, name, value)
	if err != nil {
		p.rest = before
		err = errors.New(Brief(err.Error())) // it quotes the value
	}
	return m, err
}

func (p *matcherParser) name() (string, error) {
	if p.quoted() {
		return p.unquote()
	}
	n := 0
	for n < len(p.rest) && isNameByte(p.rest[n], n == 0) {
		n++
	}
	if n == 0 {
		return "", errors.New("expected the name of a label")
	}
	name := p.rest[:n]
	p.rest = p.rest[n:]
	if rest := strings.TrimLeft(p.rest, " \t\n"); strings.HasPrefix(rest, "{") {
		return "", errors.New("groups are selected by their labels, and have no metric name")
	}
	return name, nil
}

func isNameByte(c byte, first bool) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || !first && '0' <= c && c <= '9'
}

func (p *matcherParser) operator() (labels.MatchType, error) {
	switch {
	case p.take("=~"):
		return labels.MatchRegexp, nil
	case p.take("!~"):
		return labels.MatchNotRegexp, nil
	case p.take("!="):
		return labels.MatchNotEqual, nil
	case p.take("="):
		return labels.MatchEqual, nil
	}
	return 0, errors.New("expected one of =, !=, =~ and !~")
}

func (p *matcherParser) value() (string, error) {
	if p.quoted() {
		return p.unquote()
	}
	n := strings.IndexAny(p.rest, "{},=!~\"'` \t\n")
	if n < 0 {
		n = len(p.rest)
	}
	v := p.rest[:n]
	switch {
	case n == 0:
		return "", errors.New("expected a value, in quotes when it is empty")
	case !utf8.ValidString(v):
		return "", errors.New("the value is not valid UTF-8")
	}
	p.rest = p.rest[n:]
	return v, nil
}

func (p *matcherParser) quoted() bool {
	return p.rest != "" && strings.IndexByte("\"'`", p.rest[0]) >= 0
}

// unquote reads a quoted string. Single quotes mean what double quotes mean.
func (p *matcherParser) unquote() (string, error) {
	quote, n := p.rest[0], 1
	for n < len(p.rest) && p.rest[n] != quote {
		if p.rest[n] == '\\' && quote != '`' {
			n++
		}
		n++
	}
	if n >= len(p.rest) {
		return "", errors.New("the quote is not closed")
	}
	text := p.rest[:n+1]
	if quote == '\'' {
		inner := strings.ReplaceAll(text[1:n], `\'`, `'`)
		text = `"` + strings.ReplaceAll(strings.ReplaceAll(inner, `\"`, `"`), `"`, `\"`) + `"`
	}
	v, err := strconv.Unquote(text)
	if err != nil || !utf8.ValidString(v) {
		return "", errors.New("what stands in quotes cannot be read")
	}
	p.rest = p.rest[n+1:]
	return v, nil
}

func (p *matcherParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\n") }

func (p *matcherParser) take(s string) bool {
	rest, ok := strings.CutPrefix(p.rest, s)
	p.rest = rest
	return ok
}
