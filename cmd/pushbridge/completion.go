package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// completionCommand is `pushbridge completion`.
func completionCommand() *cli.Command {
	return &cli.Command{
		Name:        "completion",
		Usage:       "Prints a script that lets a shell complete commands and flags.",
		Description: "  source <(" + program + " completion bash)\n  " + program + " completion fish > ~/.config/fish/completions/" + program + ".fish",
		ArgsUsage:   "bash|zsh|fish",
		Action: func(c *cli.Context) error {
			switch shell := c.Args().First(); shell {
			case "bash":
			case "zsh": // understands functions of bash
				fmt.Fprintf(c.App.Writer, "#compdef %s\nautoload -U +X bashcompinit && bashcompinit\n", program)
			case "fish":
				return printFishCompletion(c.App.Writer, commands())
			default:
				return usagef("shell must be bash, zsh or fish, is %q", shell)
			}
			return printCompletion(c.App.Writer, commands())
		},
	}
}

// printCompletion writes a function that follows the names of commands, and offers what
// may stand behind them: further names and flags, and else files.
func printCompletion(w io.Writer, commands []*cli.Command) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "_%s() {\n\tlocal cur=\"${COMP_WORDS[COMP_CWORD]}\" path=\"\" words=\"\" word\n", program)
	fmt.Fprint(out, "\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n\t\tcase \"$path $word\" in\n")
	fmt.Fprintf(out, "\t\t%s) path=\"${path:+$path }$word\" ;;\n\t\tesac\n\tdone\n", strings.Join(steps(commands), "|"))
	fmt.Fprintf(out, "\tcase \"$path\" in\n\t\"\") words=\"%s %s\" ;;\n", names(commands), flagNames(commands[0]))
	eachCommand(commands, "", func(path string, c *cli.Command) {
		fmt.Fprintf(out, "\t\"%s\") words=\"%s\" ;;\n", path, strings.TrimSpace(names(c.Subcommands)+" "+flagNames(c)))
	})
	fmt.Fprintf(out, "\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _%s %[1]s\n", program)
	return out.Flush()
}

// printFishCompletion does the same for fish, which shows what each of them is for.
func printFishCompletion(w io.Writer, commands []*cli.Command) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "function __%s_path\n\tset -l path \"\"\n\tfor word in (commandline -opc)[2..-1]\n\t\tswitch \"$path $word\"\n", program)
	fmt.Fprintf(out, "\t\t\tcase %s\n\t\t\t\tset path (string trim \"$path $word\")\n\t\tend\n\tend\n\techo $path\nend\n", strings.Join(steps(commands), " "))
	fishCompletions(out, "", commands, commands[0].Flags)
	eachCommand(commands, "", func(path string, c *cli.Command) { fishCompletions(out, path, c.Subcommands, c.Flags) })
	return out.Flush()
}

// fishCompletions are the commands and flags that may stand behind a path of commands.
func fishCompletions(out io.Writer, path string, commands []*cli.Command, flags []cli.Flag) {
	line := fmt.Sprintf("complete -c %s -n 'test (__%[1]s_path) = \"%s\"'", program, path)
	for _, c := range commands {
		fmt.Fprintf(out, "%s -a %s -d %s\n", line, c.Name, fishQuoted(c.Usage))
	}
	for _, section := range flagSections(append(standardFlags(), flags...)) {
		for _, f := range section.flags {
			value := ""
			if f.TakesValue() {
				value = " -r"
			}
			fmt.Fprintf(out, "%s -l %s%s -d %s\n", line, f.Names()[0], value, fishQuoted(f.GetUsage()))
			if b, ok := f.(*cli.BoolFlag); ok && b.Value {
				fmt.Fprintf(out, "%s -l no-%s -d %s\n", line, b.Name, fishQuoted("Not: "+f.GetUsage()))
			}
		}
	}
}

func fishQuoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}

// steps are the names of commands, each behind those that lead to it, in quotes.
func steps(commands []*cli.Command) (all []string) {
	eachCommand(commands, "", func(path string, _ *cli.Command) {
		parent, name := "", path
		if i := strings.LastIndex(path, " "); i >= 0 {
			parent, name = path[:i], path[i+1:]
		}
		all = append(all, `"`+parent+" "+name+`"`)
	})
	return all
}

// eachCommand visits commands with the names that lead to them.
func eachCommand(commands []*cli.Command, path string, visit func(path string, c *cli.Command)) {
	for _, c := range commands {
		to := strings.TrimSpace(path + " " + c.Name)
		visit(to, c)
		eachCommand(c.Subcommands, to, visit)
	}
}

func names(commands []*cli.Command) string {
	var all []string
	for _, c := range commands {
		all = append(all, c.Name)
	}
	return strings.Join(all, " ")
}

// flagNames are those of the flags that are shown, and of what switches one off that is on.
func flagNames(c *cli.Command) string {
	var all []string
	for _, section := range flagSections(append(standardFlags(), c.Flags...)) {
		for _, f := range section.flags {
			all = append(all, "--"+f.Names()[0])
			if b, ok := f.(*cli.BoolFlag); ok && b.Value {
				all = append(all, "--no-"+b.Name)
			}
		}
	}
	return strings.Join(all, " ")
}
