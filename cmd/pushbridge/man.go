package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/common/version"
	"github.com/urfave/cli/v2"
)

// manCommand is `pushbridge man`.
func manCommand() *cli.Command {
	return &cli.Command{
		Name:        "man",
		Usage:       "Prints the manual page.",
		Description: "  " + program + " man | man -l -",
		Action:      func(c *cli.Context) error { return printMan(c.App.Writer, commands()) },
	}
}

// printMan writes what --help says of all commands in the language of man pages.
func printMan(w io.Writer, commands []*cli.Command) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, ".TH %s 1 \"\" \"%[1]s %s\"\n", program, version.Version)
	fmt.Fprintf(out, ".SH NAME\n%s \\- a durable Pushgateway that ships what is pushed by remote write\n.SH SYNOPSIS\n", program)
	eachCommand(commands, "", func(path string, c *cli.Command) {
		if len(c.Subcommands) == 0 {
			fmt.Fprintf(out, ".B %s\n.br\n", roff(usageLine(strings.Fields(path), c, c == commands[0])))
		}
	})
	fmt.Fprint(out, ".SH DESCRIPTION\n")
	manCommandText(out, commands[0])
	eachCommand(commands[1:], "", func(path string, c *cli.Command) {
		fmt.Fprintf(out, ".SH \"%s\"\n", strings.ToUpper(roff(path)))
		manCommandText(out, c)
	})
	fmt.Fprint(out, ".SH EXIT STATUS\n0, or 1 for an error. Commands that push have others, which their sections name.\n")
	fmt.Fprint(out, ".SH SIGNALS\nSIGTERM and SIGINT stop the gateway, SIGHUP reads its configuration file again.\n")
	return out.Flush()
}

func manCommandText(out io.Writer, c *cli.Command) {
	fmt.Fprintln(out, roff(c.Usage))
	if c.Description != "" {
		fmt.Fprintf(out, ".PP\n.nf\n%s\n.fi\n", roff(c.Description))
	}
	for _, section := range flagSections(append(standardFlags(), c.Flags...)) {
		fmt.Fprintf(out, ".SS %s\n", roff(section.title))
		for _, f := range section.flags {
			fmt.Fprintf(out, ".TP\n.B %s\n%s\n", roff(flagHead(f)), roff(f.GetUsage()))
		}
	}
}

// roff escapes what would be a command in a man page, or set as another sign.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "'", `\(aq`, "~", `\(ti`, "^", `\(ha`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
