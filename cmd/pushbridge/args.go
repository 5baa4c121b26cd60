package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// Start scripts of Pushgateway are written in the grammar of its command-line
// library: --flag value and --flag=value, --flag and --no-flag for booleans,
// @file for more arguments, -- before what is no flag. That library refuses
// what it does not know, where cli lets much of it pass in silence. So the
// arguments pass through here first, and come out in the one form that leaves
// nothing to interpret: the command's names, then --name=value for each flag.

// usageError is a mistake on the command line. The message ends in advice.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() + ", try --help" }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// commandLine is what the arguments ask for.
type commandLine struct {
	command *cli.Command
	named   bool     // by the first argument, not by default
	path    []string // the names that lead to the command, as "queue", "inspect"
	flags   []string // each as --name=value
	args    []string // positional ones
	given   map[string]bool
	help    bool
	version bool
}

// normal returns the arguments in the form that cli takes.
func (l *commandLine) normal(program string) []string {
	out := append([]string{program}, l.path...)
	out = append(out, l.flags...)
	return append(append(out, "--"), l.args...)
}

// parseArgs reads what stands behind the program's name. Without the name of a
// command in front, the first command is meant.
func parseArgs(commands []*cli.Command, args []string) (*commandLine, error) {
	l := &commandLine{given: map[string]bool{}}
	args = l.findCommand(commands, args)
	p := newArgParser(l, args)
	p.commands = commands
	if err := p.parse(); err != nil {
		return nil, err
	}
	if l.help || l.version {
		return l, nil
	}
	return l, l.checkArgs()
}

// findCommand follows the names of commands and their subcommands.
func (l *commandLine) findCommand(commands []*cli.Command, args []string) (rest []string) {
	for len(args) > 0 {
		next := findCommand(commands, args[0])
		if next == nil {
			break
		}
		l.command, l.path, l.named = next, append(l.path, next.Name), true
		commands, args = next.Subcommands, args[1:]
	}
	if l.command == nil {
		l.command, l.path = commands[0], []string{commands[0].Name}
	}
	return args
}

func findCommand(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// checkArgs compares the positional arguments with the command's ArgsUsage,
// which names each of them, [FILE] if it may be missing and COMMAND... if any number may
// follow it.
func (l *commandLine) checkArgs() error {
	want := strings.Fields(l.command.ArgsUsage)
	switch {
	case len(l.args) > len(want) && !l.takesRest():
		return usagef("unexpected %s", l.args[len(want)])
	case len(l.command.Subcommands) > 0:
		return usagef("%s needs a subcommand", strings.Join(l.path, " "))
	case len(l.args) < len(want) && !strings.HasPrefix(want[len(l.args)], "["):
		return usagef("%s needs %s", strings.Join(l.path, " "), strings.TrimSuffix(want[len(l.args)], rest))
	}
	return nil
}

// rest stands behind an argument that all others follow.
const rest = "..."

// takesRest reports whether what follows an argument belongs to another command, flags
// included.
func (l *commandLine) takesRest() bool { return strings.HasSuffix(l.command.ArgsUsage, rest) }

// argParser holds the arguments not read yet.
type argParser struct {
	line     *commandLine
	commands []*cli.Command // that the first word can name
	rest     []string
	longs    map[string]cli.Flag
	shorts   map[rune]cli.Flag
}

func newArgParser(l *commandLine, args []string) *argParser {
	p := &argParser{line: l, rest: args, longs: map[string]cli.Flag{}, shorts: map[rune]cli.Flag{}}
	for _, f := range append(standardFlags(), l.command.Flags...) {
		for _, name := range f.Names() {
			if r, size := utf8.DecodeRuneInString(name); size == len(name) {
				p.shorts[r] = f
			} else {
				p.longs[name] = f
			}
		}
	}
	return p
}

func (p *argParser) parse() error {
	for len(p.rest) > 0 && !p.line.version { // as in Pushgateway: --version wins over what follows it
		arg := p.rest[0]
		p.rest = p.rest[1:]
		var err error
		switch {
		case arg == "--":
			p.line.args = append(p.line.args, p.rest...)
			return nil
		case strings.HasPrefix(arg, "--"):
			err = p.long(arg[2:])
		case strings.HasPrefix(arg, "-"):
			err = p.short(arg[1:])
		case strings.HasPrefix(arg, "@"):
			err = p.expand(arg[1:])
		default:
			err = p.positional(arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// long reads --name, --name=value, --name value and --no-name.
func (p *argParser) long(arg string) error {
	name, value, hasValue := strings.Cut(arg, "=")
	flag, on := p.longs[name], true
	if positive, ok := strings.CutPrefix(name, "no-"); ok && flag == nil && !takesValue(p.longs[positive]) {
		flag, on = p.longs[positive], false
	}
	if flag == nil {
		return usagef("unknown long flag '--%s'%s", name, meant(strings.TrimPrefix(name, "no-"), slices.Collect(maps.Keys(p.longs)), "--"))
	}
	if !takesValue(flag) {
		err := p.add(flag, strconv.FormatBool(on))
		if err == nil && hasValue && !p.line.version {
			err = usagef("unexpected %s: write --%s or --no-%[2]s", value, flag.Names()[0])
		}
		return err
	}
	if !hasValue {
		if len(p.rest) == 0 || strings.HasPrefix(p.rest[0], "-") || strings.HasPrefix(p.rest[0], "@") {
			return usagef("expected argument for flag '--%s'", name)
		}
		value, p.rest = p.rest[0], p.rest[1:]
	}
	return p.add(flag, value)
}

// short reads -h; there are no other short flags, so the name of a long flag
// behind one dash is a mistake, and not a flag.
func (p *argParser) short(arg string) error {
	for _, r := range arg {
		flag := p.shorts[r]
		if flag == nil {
			return usagef("unknown short flag '-%c'", r)
		}
		if err := p.add(flag, "true"); err != nil {
			return err
		}
	}
	if arg == "" {
		return usagef("unknown short flag '-'")
	}
	return nil
}

// expand puts the lines of a file in the place of @file, one argument a line.
func (p *argParser) expand(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return usagef("arguments file: %w", err)
	}
	defer f.Close()
	var args []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if line := lines.Text(); line != "" && !strings.HasPrefix(line, "#") {
			args = append(args, line)
		}
	}
	if err := lines.Err(); err != nil {
		return usagef("arguments file %s: %w", name, err)
	}
	p.rest = append(args, p.rest...)
	return nil
}

// positional stops at once where no argument is expected, as Pushgateway does,
// so that the message names the word in front of a flag that is wrong too.
func (p *argParser) positional(arg string) error {
	if p.line.takesRest() {
		p.line.args, p.rest = append(append(p.line.args, arg), p.rest...), nil
		return nil
	}
	if len(p.line.args) >= len(strings.Fields(p.line.command.ArgsUsage)) {
		return usagef("unexpected %s%s", arg, meant(arg, p.names(), ""))
	}
	p.line.args = append(p.line.args, arg)
	return nil
}

// names returns the names of commands that could stand where a word is that is none.
func (p *argParser) names() []string {
	among := p.line.command.Subcommands
	if !p.line.named {
		among = p.commands
	}
	var names []string
	for _, c := range among {
		names = append(names, c.Name)
	}
	return names
}

// add notes a flag. Each may stand once, unless it is a list.
func (p *argParser) add(flag cli.Flag, value string) error {
	name := flag.Names()[0]
	switch {
	case name == flagHelp:
		p.line.help = true
	case name == flagVersion:
		p.line.version = true
	case p.line.given[name] && !isList(flag):
		return usagef("flag '%s' cannot be repeated", name)
	default:
		p.line.flags = append(p.line.flags, "--"+name+"="+value)
	}
	p.line.given[name] = true
	return nil
}

// addEnv takes flags that the arguments do not name from the environment:
// --web.listen-address is PUSHBRIDGE_WEB_LISTEN_ADDRESS there, and a list is
// separated by commas. An empty variable counts as none.
func (l *commandLine) addEnv(getenv func(string) string) error {
	for _, flag := range l.command.Flags {
		name := flag.Names()[0]
		value := getenv(envName(name))
		if l.given[name] || value == "" {
			continue
		}
		values := []string{value}
		switch {
		case isList(flag):
			values = strings.Split(value, ",")
		case !takesValue(flag):
			on, err := strconv.ParseBool(value)
			if err != nil {
				return usagef("%s must be true or false, is %q", envName(name), value)
			}
			values[0] = strconv.FormatBool(on)
		}
		for _, v := range values {
			l.flags = append(l.flags, "--"+name+"="+strings.TrimSpace(v))
		}
	}
	return nil
}

// envName returns the environment variable that stands for a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(flag))
}

// takesValue is false for booleans, and for no flag.
func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// isList tells whether the flag may be repeated.
func isList(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationSliceFlag)
	return ok && d.IsSliceFlag()
}
