// Command typecount counts what functions of ten lines hide: how many methods and
// fields the types of a module have.
//
//	typecount [-methods 40] [-fields 16] [-exceptions FILE] [MODULE]
//	typecount -table [MODULE]
//
// It prints each type that is beyond a bound, and then exits with 1. A line of the
// file with exceptions allows a type more, and gives the reason:
//
//	state.Store  methods 81  one critical section, whose steps are in files of their own
//
// Where there is one for each of something else, "any" in place of the number says so.
// An exception that nothing needs any more is a mistake too, so that the file tells
// the truth. Tests and generated files do not count.
//
// With -table it prints how large the rooms of the house are, as Markdown.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

// bounds are what a type may have without an exception.
type bounds struct{ methods, fields int }

func main() {
	var b bounds
	flag.IntVar(&b.methods, "methods", 40, "methods that a type may have")
	flag.IntVar(&b.fields, "fields", 16, "fields that a struct may have")
	exceptions := flag.String("exceptions", "", "`file` with types that may have more, and why")
	table := flag.Bool("table", false, "print the sizes of packages and of the widest types")
	flag.Parse()
	ok, err := run(os.Stdout, module(flag.Args()), b, *exceptions, *table)
	if err != nil {
		fmt.Fprintln(os.Stderr, "typecount:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func module(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

// run tells whether all is within its bounds.
func run(w io.Writer, dir string, b bounds, exceptions string, table bool) (bool, error) {
	packages, err := load(dir)
	if err != nil {
		return false, err
	}
	if table {
		return true, printTable(w, packages)
	}
	allowed, err := readExceptions(exceptions)
	if err != nil {
		return false, err
	}
	faults := check(packages, b, allowed)
	for _, f := range faults {
		fmt.Fprintln(w, f)
	}
	return len(faults) == 0, nil
}
