package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

const (
	helpColumn = 32 // where the descriptions of flags start
	helpWidth  = 100
)

// printHelp describes the command that the arguments name; for the gateway
// itself, which is named by nothing, also the other commands.
func printHelp(w io.Writer, commands []*cli.Command, l *commandLine) error {
	out := bufio.NewWriter(w)
	isMain := l.command == commands[0]
	fmt.Fprintf(out, "usage: %s\n", usageLine(l.path, l.command, isMain))
	if isMain {
		for _, c := range commands[1:] {
			printUsageLines(out, []string{c.Name}, c)
		}
	}
	fmt.Fprintf(out, "\n%s\n", l.command.Usage)
	if l.command.Description != "" {
		fmt.Fprintf(out, "\n%s\n", l.command.Description)
	}
	for _, c := range l.command.Subcommands {
		fmt.Fprintf(out, "\n  %s\n        %s\n", usageLine(append(l.path, c.Name), c, false), c.Usage)
	}
	printFlags(out, append(standardFlags(), l.command.Flags...))
	return out.Flush()
}

// printUsageLines names a command, or its subcommands instead.
func printUsageLines(out io.Writer, path []string, c *cli.Command) {
	if len(c.Subcommands) == 0 {
		fmt.Fprintf(out, "       %s\n", usageLine(path, c, false))
	}
	for _, sub := range c.Subcommands {
		printUsageLines(out, append(path, sub.Name), sub)
	}
}

func usageLine(path []string, c *cli.Command, optional bool) string {
	name := strings.Join(path, " ")
	if optional {
		name = "[" + name + "]"
	}
	line := program + " " + name
	if len(c.Flags) > 0 {
		line += " [<flags>]"
	}
	if c.ArgsUsage != "" {
		line += " " + c.ArgsUsage
	}
	return line
}

// printFlags lists flags under their categories.
func printFlags(out io.Writer, flags []cli.Flag) {
	for _, section := range flagSections(flags) {
		fmt.Fprintf(out, "\n%s:\n", section.title)
		for _, f := range section.flags {
			printFlag(out, f)
		}
	}
}

// flagSection is a category of flags.
type flagSection struct {
	title string
	flags []cli.DocGenerationFlag
}

// flagSections sorts the flags that are shown into their categories, in the order of
// definition.
func flagSections(flags []cli.Flag) (sections []flagSection) {
	place := map[string]int{}
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if v, can := f.(cli.VisibleFlag); !ok || (can && !v.IsVisible()) {
			continue
		}
		title := "Flags"
		if c, ok := f.(cli.CategorizableFlag); ok && c.GetCategory() != "" {
			title = c.GetCategory()
		}
		i, ok := place[title]
		if !ok {
			i = len(sections)
			place[title] = i
			sections = append(sections, flagSection{title: title})
		}
		sections[i].flags = append(sections[i].flags, doc)
	}
	return sections
}

func printFlag(out io.Writer, f cli.DocGenerationFlag) {
	head := "      "
	if len(f.Names()) > 1 {
		head = "  "
	}
	head += flagHead(f)
	lines := wrap(f.GetUsage(), helpWidth-helpColumn)
	if len(head) > helpColumn-2 {
		fmt.Fprintln(out, head)
		head = ""
	}
	for _, line := range lines {
		fmt.Fprintf(out, "%-*s%s\n", helpColumn, head, line)
		head = ""
	}
}

// flagHead is how a flag is given.
func flagHead(f cli.DocGenerationFlag) string {
	head := "--" + f.Names()[0]
	if len(f.Names()) > 1 {
		head = "-" + f.Names()[1] + ", " + head
	}
	if f.TakesValue() {
		head += "=" + defaultText(f)
	}
	if isList(f) {
		head += " ..."
	}
	return head
}

// defaultText is the value that the flag has when it is not given.
func defaultText(f cli.DocGenerationFlag) string {
	if s, ok := f.(*cli.StringSliceFlag); ok && s.Value != nil {
		return strings.Join(s.Value.Value(), ",")
	}
	if text := f.GetValue(); text != "" {
		return text
	}
	return `""`
}

// wrap breaks text at blanks.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
