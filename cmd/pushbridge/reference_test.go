package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/docs/docstest"
)

// TestFlagReference holds docs/flags.md to the definitions of the flags: `make docs` writes it.
func TestFlagReference(t *testing.T) {
	var page bytes.Buffer
	fmt.Fprint(&page, "# Commands and flags\n\nMade from the definitions by `make docs`. ")
	fmt.Fprintf(&page, "Flags of the gateway can stand in the environment too, --web.listen-address as `%s`;\n", envName(flagListenAddress))
	fmt.Fprint(&page, "the command line wins. `@FILE` stands for the lines of a file. ")
	fmt.Fprint(&page, "The configuration file is described in [configuration.md](configuration.md).\n")
	eachCommand(commands(), "", func(path string, c *cli.Command) { describeCommand(&page, path, c) })
	docstest.Page(t, "../../docs/flags.md", page.String())
}

// describeCommand writes a command that does something, not one that only has others.
func describeCommand(page io.Writer, path string, c *cli.Command) {
	if len(c.Subcommands) > 0 {
		return
	}
	fmt.Fprintf(page, "\n## %s\n\n%s\n\n```\n%s\n", path, docstest.Cell(c.Usage), usageLine(strings.Fields(path), c, c.Name == commands()[0].Name))
	if c.Description != "" {
		fmt.Fprintf(page, "\n%s\n", c.Description)
	}
	fmt.Fprint(page, "```\n")
	for _, section := range flagSections(c.Flags) {
		fmt.Fprintf(page, "\n| %s | default | |\n|---|---|---|\n", section.title)
		for _, f := range section.flags {
			fmt.Fprintf(page, "| %s | %s | %s |\n", flagCell(f), defaultCell(f), docstest.Cell(f.GetUsage()))
		}
	}
}

func flagCell(f cli.DocGenerationFlag) string {
	cell := "`--" + f.Names()[0] + "`"
	if b, ok := f.(*cli.BoolFlag); ok && b.Value {
		cell = "`--no-" + b.Name + "`, " + cell
	}
	if isList(f) {
		cell += " …"
	}
	return cell
}

func defaultCell(f cli.DocGenerationFlag) string {
	if text := defaultText(f); f.TakesValue() && text != `""` {
		return "`" + text + "`"
	}
	return ""
}
