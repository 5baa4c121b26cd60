package web

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pushbridge/pushbridge/group"
)

// filter is what somebody typed to find groups: matchers as {job=~"ci-.*"} or job="x",
// and words, all of which must be in the grouping key or in the name of a family.
type filter struct {
	match []group.Matchers
	words []string
}

// parseFilter reads a filter. What looks like a matcher and is none is an error only
// where nobody can have meant a word.
func parseFilter(text string) (f filter, err error) {
	for _, token := range filterTokens(text) {
		if !strings.ContainsAny(token, "={~") {
			f.words = append(f.words, strings.ToLower(token))
			continue
		}
		m, err := group.ParseMatchers(token)
		if err == nil {
			f.match = append(f.match, m)
			continue
		}
		if strings.Contains(token, "{") || strings.Contains(token, "=~") || strings.Contains(token, "!~") {
			return f, fmt.Errorf("q: %w", err)
		}
		f.words = append(f.words, strings.ToLower(token))
	}
	return f, nil
}

// filterTokens cuts a filter at the spaces that are not in quotes or braces.
func filterTokens(text string) []string {
	var tokens []string
	braces, quoted, escaped := 0, false, false
	begin := -1
	for i, r := range text + " " {
		inside := quoted || braces > 0
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '{':
			braces++
		case r == '}':
			braces = max(0, braces-1)
		}
		space := r == ' ' || r == '\t' || r == '\n'
		switch {
		case begin < 0 && !space:
			begin = i
		case begin >= 0 && space && (!inside || i == len(text)):
			tokens = append(tokens, text[begin:i])
			begin = -1
		}
	}
	return tokens
}

func (f *filter) has(g *group.Group) bool {
	for _, m := range f.match {
		if !m.Match(g.Labels) {
			return false
		}
	}
	return hasWords(g, f.words)
}

// hasLabels is has for something that has labels and no metrics.
func (f *filter) hasLabels(l []group.Label) bool {
	sorted := group.NewLabels(slices.Clone(l))
	for _, m := range f.match {
		if !m.Match(sorted) {
			return false
		}
	}
	text := strings.ToLower(labelText(l))
	for _, w := range f.words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
