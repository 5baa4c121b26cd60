package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// exception allows a type more than the others.
type exception struct {
	where string // the file and line that say so
	name  string
	what  string // methods or fields
	bound int
	used  bool
}

// readExceptions reads a file; none if there is no name.
func readExceptions(name string) ([]*exception, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var all []*exception
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		e, err := readException(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
		e.where = fmt.Sprintf("%s:%d", name, i+1)
		all = append(all, e)
	}
	return all, nil
}

func readException(line string) (*exception, error) {
	f := strings.Fields(line)
	if len(f) < 4 {
		return nil, fmt.Errorf("%q: want TYPE, methods or fields, how many, and the reason", line)
	}
	if f[1] != "methods" && f[1] != "fields" {
		return nil, fmt.Errorf("%q: want methods or fields, not %q", line, f[1])
	}
	if f[2] == "any" {
		return &exception{name: f[0], what: f[1], bound: math.MaxInt}, nil
	}
	n, err := strconv.Atoi(f[2])
	if err != nil {
		return nil, fmt.Errorf("%q: want how many %s, or any, not %q", line, f[1], f[2])
	}
	return &exception{name: f[0], what: f[1], bound: n}, nil
}

// check returns what is beyond its bound, and which exceptions nothing needs.
func check(packages []*pkg, b bounds, exceptions []*exception) []string {
	var faults []string
	for _, t := range typesOf(packages) {
		for _, c := range []struct {
			what     string
			n, bound int
			advice   string
		}{
			{"methods", len(t.methods), b.methods, "find the second concept in it and make it a type of its own"},
			{"fields", t.fields, b.fields, "find the fields that are used together and make them a type of their own"},
		} {
			bound := c.bound
			if i := slices.IndexFunc(exceptions, func(e *exception) bool { return e.name == t.name && e.what == c.what }); i >= 0 && c.n > bound {
				exceptions[i].used = true
				bound = exceptions[i].bound
			}
			if c.n > bound {
				faults = append(faults, fmt.Sprintf("%s has %d %s, at most %d are allowed: %s", t.name, c.n, c.what, bound, c.advice))
			}
		}
	}
	for _, e := range exceptions {
		if !e.used {
			faults = append(faults, fmt.Sprintf("%s: %s needs no exception for its %s: remove the line", e.where, e.name, e.what))
		}
	}
	return faults
}
