package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v2"
)

// problems is all that is wrong with a file, in the order of its lines.
type problems []error

// lined is what is wrong at a line.
type lined struct {
	line int // 0: nobody knows
	err  error
}

func (p lined) Error() string {
	if p.line == 0 {
		return p.err.Error()
	}
	return fmt.Sprintf("line %d: %v", p.line, p.err)
}

func (p lined) Unwrap() error { return p.err }

// add adds what is wrong at a line, unless it is nil.
func (p *problems) add(line int, err error) {
	if err != nil {
		*p = append(*p, lined{line, err})
	}
}

// addDecoding adds what the decoder found. It returns false when there is nothing to go on
// with: the text is no YAML.
func (p *problems) addDecoding(err error) bool {
	wrong, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		p.add(0, Explain(err))
		return false
	}
	for _, said := range wrong.Errors {
		line, rest := lineIn(said)
		p.add(line, errors.New(plain(rest)))
	}
	return true
}

// err returns all problems as one error, nil when there are none.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b error) int { return cmp.Compare(lineOfError(a), lineOfError(b)) })
	return p
}

func (p problems) Error() string {
	said := make([]string, len(p))
	for i, err := range p {
		said[i] = err.Error()
	}
	return strings.Join(said, "; ")
}

func (p problems) Unwrap() []error { return p }

func lineOfError(err error) int {
	p, _ := errors.AsType[lined](err)
	return p.line
}

// lineIn takes the line off what the decoder says.
func lineIn(said string) (line int, rest string) {
	if behind, ok := strings.CutPrefix(said, "line "); ok {
		number, rest, _ := strings.Cut(behind, ": ")
		if line, err := strconv.Atoi(number); err == nil {
			return line, rest
		}
	}
	return 0, said
}

// item is a piece of the file, and where it begins.
type item[T any] struct {
	value T
	line  int
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (i *item[T]) UnmarshalYAML(unmarshal func(any) error) error {
	i.line = lineOf(unmarshal)
	return unmarshal(&i.value)
}

// lineOf returns where a piece of the file begins. The decoder tells that only when it
// fails, so it is asked for what the piece cannot be.
func lineOf(unmarshal func(any) error) int {
	for _, never := range []any{new(chan int), new(int), new(struct{})} {
		if wrong, ok := errors.AsType[*yaml.TypeError](unmarshal(never)); ok {
			if line, _ := lineIn(wrong.Errors[0]); line > 0 {
				return line
			}
		}
	}
	return 0
}
