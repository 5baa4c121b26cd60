package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// widest is how many types the table has.
const widest = 5

// printTable prints the packages with their lines and exported names, and the types
// that have the most methods, or else fields.
func printTable(w io.Writer, packages []*pkg) error {
	types := typesOf(packages)
	slices.SortStableFunc(types, func(a, b *typ) int {
		return -cmp.Or(cmp.Compare(len(a.methods), len(b.methods)), cmp.Compare(a.fields, b.fields))
	})
	if _, err := fmt.Fprint(w, "| package | lines | exported names |\n|---|--:|--:|\n"); err != nil {
		return err
	}
	for _, p := range packages {
		if _, err := fmt.Fprintf(w, "| `%s` | %d | %d |\n", p.path, p.lines, p.exported); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprint(w, "\n| type | methods | fields |\n|---|--:|--:|\n"); err != nil {
		return err
	}
	for _, t := range types[:min(widest, len(types))] {
		if _, err := fmt.Fprintf(w, "| `%s` | %d | %d |\n", t.name, len(t.methods), t.fields); err != nil {
			return err
		}
	}
	return nil
}
