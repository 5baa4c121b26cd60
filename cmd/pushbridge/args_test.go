package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

func testCommands() []*cli.Command {
	return []*cli.Command{
		{Name: "serve", Flags: []cli.Flag{
			&cli.StringFlag{Name: "a.file"},
			&cli.BoolFlag{Name: "on"},
			&cli.BoolFlag{Name: "no-sleep"},
			&cli.StringSliceFlag{Name: "list"},
		}},
		{Name: "check", ArgsUsage: "FILE"},
		{Name: "exec", ArgsUsage: "COMMAND...", Flags: []cli.Flag{&cli.StringFlag{Name: "job"}}},
		{Name: "push", ArgsUsage: "[FILE]"},
		{Name: "queue", Subcommands: []*cli.Command{
			{Name: "inspect", ArgsUsage: "DIR", Flags: []cli.Flag{&cli.BoolFlag{Name: "json"}}},
		}},
	}
}

func TestParseArgs(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return "@" + path
	}
	args := file("args", "# comment\n--a.file\n\nwith blank\n--on\n")
	value := file("value", "x y\n")

	for _, tt := range []struct {
		name string
		in   []string
		want string // the normal form, or the error
	}{
		{"nothing", nil, "serve --"},
		{"named command", []string{"serve", "--on"}, "serve --on=true --"},
		{"value after equals sign", []string{"--a.file=x=y"}, "serve --a.file=x=y --"},
		{"value as next argument", []string{"--a.file", "x"}, "serve --a.file=x --"},
		{"empty value", []string{"--a.file="}, "serve --a.file= --"},
		{"empty next argument", []string{"--a.file", ""}, "serve --a.file= --"},
		{"list", []string{"--list=a,b", "--list", "c"}, "serve --list=a,b --list=c --"},
		{"switched off", []string{"--no-on"}, "serve --on=false --"},
		{"flag that begins with no-", []string{"--no-sleep"}, "serve --no-sleep=true --"},
		{"the same, off", []string{"--no-no-sleep"}, "serve --no-sleep=false --"},
		{"end of flags", []string{"--on", "--"}, "serve --on=true --"},
		{"flags behind an argument", []string{"queue", "inspect", "d", "--json"}, "queue inspect --json=true -- d"},
		{"argument that looks like a flag", []string{"check", "--", "--x"}, "check -- --x"},
		{"a command and its arguments", []string{"exec", "--job=x", "--", "c", "--job", "@x", "--"}, "exec --job=x -- c --job @x --"},
		{"the same without --", []string{"exec", "--job", "x", "c", "--job", "@x", "--", "-h"}, "exec --job=x -- c --job @x -- -h"},
		{"argument that may be missing", []string{"push"}, "push --"},
		{"the same, given", []string{"push", "f"}, "push -- f"},
		{"one more than may be", []string{"push", "f", "g"}, "unexpected g, try --help"},
		{"no command", []string{"exec"}, "exec needs COMMAND, try --help"},
		{"arguments from a file", []string{args, "--list=x"}, "serve --a.file=with blank --on=true --list=x --"},
		{"argument from a file", []string{"check", value}, "check -- x y"},
		{"@ within a value", []string{"--a.file=@x"}, "serve --a.file=@x --"},
		{"@ behind the end of flags", []string{"check", "--", "@x"}, "check -- @x"},
		{"help", []string{"-h"}, "help"},
		{"help twice", []string{"-hh", "--help"}, "help"},
		{"help of a command", []string{"check", "--help"}, "help"},
		{"version", []string{"--version"}, "version"},
		{"version wins over what follows", []string{"--version", "--bogus", "x"}, "version"},
		{"version with a value", []string{"--version=1"}, "version"},

		{"unknown flag", []string{"--bogus"}, "unknown long flag '--bogus', try --help"},
		{"unknown flag before help", []string{"--bogus", "--help"}, "unknown long flag '--bogus', try --help"},
		{"unknown flag behind help", []string{"--help", "--bogus"}, "unknown long flag '--bogus', try --help"},
		{"beginning of a flag", []string{"--a.fil=x"}, "unknown long flag '--a.fil' (did you mean --a.file?), try --help"},
		{"flag of another command", []string{"--json"}, "unknown long flag '--json', try --help"},
		{"short flag with two dashes", []string{"--h"}, "unknown long flag '--h', try --help"},
		{"no- of what takes a value", []string{"--no-a.file"}, "unknown long flag '--no-a.file', try --help"},
		{"no- of nothing", []string{"--no-bogus"}, "unknown long flag '--no-bogus', try --help"},
		{"no name", []string{"--=x"}, "unknown long flag '--', try --help"},
		{"single dash", []string{"-a.file=x"}, "unknown short flag '-a', try --help"},
		{"single dash that begins like help", []string{"-help"}, "unknown short flag '-e', try --help"},
		{"dash alone", []string{"-"}, "unknown short flag '-', try --help"},
		{"-v is no version", []string{"-v"}, "unknown short flag '-v', try --help"},
		{"value for a boolean", []string{"--on=true"}, "unexpected true: write --on or --no-on, try --help"},
		{"value for a boolean, off", []string{"--no-on=1"}, "unexpected 1: write --on or --no-on, try --help"},
		{"word behind a boolean", []string{"--on", "false"}, "unexpected false, try --help"},
		{"help with a value", []string{"--help=true"}, "unexpected true: write --help or --no-help, try --help"},
		{"no value", []string{"--a.file"}, "expected argument for flag '--a.file', try --help"},
		{"flag instead of a value", []string{"--a.file", "--on"}, "expected argument for flag '--a.file', try --help"},
		{"dash instead of a value", []string{"--a.file", "-x"}, "expected argument for flag '--a.file', try --help"},
		{"file instead of a value", []string{"--a.file", "@x"}, "expected argument for flag '--a.file', try --help"},
		{"repeated flag", []string{"--a.file=x", "--a.file=y"}, "flag 'a.file' cannot be repeated, try --help"},
		{"repeated boolean", []string{"--on", "--no-on"}, "flag 'on' cannot be repeated, try --help"},
		{"positional argument", []string{"foo"}, "unexpected foo, try --help"},
		{"positional argument before version", []string{"foo", "--version"}, "unexpected foo, try --help"},
		{"positional argument behind --", []string{"--", "--version"}, "unexpected --version, try --help"},
		{"command behind a flag", []string{"--on", "serve"}, "unexpected serve, try --help"},
		{"too many arguments", []string{"check", "a", "b"}, "unexpected b, try --help"},
		{"too few arguments", []string{"check"}, "check needs FILE, try --help"},
		{"no subcommand", []string{"queue"}, "queue needs a subcommand, try --help"},
		{"unknown subcommand", []string{"queue", "x"}, "unexpected x, try --help"},
		{"no such arguments file", []string{"@" + dir + "/none"}, "arguments file: open " + dir + "/none: no such file or directory, try --help"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := describe(parseArgs(testCommands(), tt.in)); got != tt.want {
				t.Errorf("%q\n got %s\nwant %s", tt.in, got, tt.want)
			}
		})
	}
}

func describe(l *commandLine, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case l.version:
		return "version"
	case l.help:
		return "help"
	}
	return strings.Join(l.normal("pushbridge")[1:], " ")
}

func TestAddEnv(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{"value", nil, map[string]string{"PUSHBRIDGE_A_FILE": "x, y"}, "serve --a.file=x, y --"},
		{"list", nil, map[string]string{"PUSHBRIDGE_LIST": "a, b"}, "serve --list=a --list=b --"},
		{"boolean", nil, map[string]string{"PUSHBRIDGE_ON": "1", "PUSHBRIDGE_NO_SLEEP": "false"}, "serve --on=true --no-sleep=false --"},
		{"empty counts as none", nil, map[string]string{"PUSHBRIDGE_A_FILE": ""}, "serve --"},
		{
			"flags win",
			[]string{"--a.file=flag", "--no-on", "--list=c"},
			map[string]string{"PUSHBRIDGE_A_FILE": "x", "PUSHBRIDGE_ON": "true", "PUSHBRIDGE_LIST": "a,b"},
			"serve --a.file=flag --on=false --list=c --",
		},
		{"no boolean", nil, map[string]string{"PUSHBRIDGE_ON": "maybe"}, `PUSHBRIDGE_ON must be true or false, is "maybe", try --help`},
		{"what Kubernetes sets", nil, map[string]string{"PUSHBRIDGE_PORT": "tcp://10.0.0.1:9091"}, "serve --"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := parseArgs(testCommands(), tt.args)
			if err == nil {
				err = l.addEnv(func(name string) string { return tt.env[name] })
			}
			if diff := cmp.Diff(tt.want, describe(l, err)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
