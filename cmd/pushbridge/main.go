// Command pushbridge takes pushes as Pushgateway does and sends them on by
// Prometheus remote write. Without the name of a command it serves.
//
// # Where to look
//
// serve.go makes every component, wires it and runs it; routes.go has every route, and
// detour.go what misses them; lifecycle.go starts and stops in order. destinations.go
// keeps destinations in step with the configuration, with orphans.go for those that left
// it and namings.go for what they were sent; reload.go reads it anew. flags.go and
// settings.go are the command line, args.go and help.go how it is spelt. listen.go,
// memory.go, persistence.go, clock.go and reserved.go set up what their names say; early is before main. The other commands are in
// receive.go, check.go, inspect.go, forget.go, migrate.go and deadletters.go, which is served by letters.go; for those who push, clientflags.go, exec.go, push.go, explain.go, import.go and diff.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/common/version"
	"github.com/urfave/cli/v2"

	"github.com/pushbridge/pushbridge/cmd/pushbridge/early"
)

const program = "pushbridge"

// The flags that every command has.
const (
	flagHelp    = "help"
	flagVersion = "version"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code, which is 0 or 1, but for
// commands that have others.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	err := runCommand(ctx, commands(), args, getenv, stdout, stderr)
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(stderr, "%s: error: %s\n", program, text)
	}
	if e, ok := errors.AsType[exitError](err); ok {
		return e.code
	}
	return 1
}

// commands lists what the first argument can name. The first one is meant when
// it names none.
func commands() []*cli.Command {
	return []*cli.Command{
		serveCommand(),
		receiveCommand(),
		checkConfigCommand(),
		queueCommand(),
		migrateCommand(),
		deadLettersCommand(),
		execCommand(),
		pushCommand(),
		explainCommand(),
		importCommand(),
		diffCommand(),
		healthCommand(),
		completionCommand(),
		manCommand(),
	}
}

// serveCommand is the gateway itself.
func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "Takes pushes as Pushgateway does and sends them on by Prometheus remote write.",
		Description: "Every flag can be given as an environment variable too: --web.listen-address as " +
			envName(flagListenAddress) + ",\nseveral values with commas between them. Flags win. @FILE stands for the lines of FILE.",
		Flags: serveFlags(),
		Action: func(c *cli.Context) error {
			s, err := readSettings(c)
			if err != nil {
				return err
			}
			early.SampleHeap() // /debug/pprof/ shows it
			return serve(c.Context, s)
		},
	}
}

// standardFlags are those that every command has.
func standardFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: flagHelp, Aliases: []string{"h"}, Usage: "Show this help."},
		&cli.BoolFlag{Name: flagVersion, Usage: "Show application version."},
	}
}

func runCommand(ctx context.Context, commands []*cli.Command, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	line, err := parseArgs(commands, args)
	if err != nil {
		return err
	}
	switch {
	case line.version:
		fmt.Fprintln(stdout, version.Print(program))
		return nil
	case line.help:
		return printHelp(stdout, commands, line)
	}
	// What is meant for the gateway must not bend a receiver or a check that is started
	// beside it.
	if line.command == commands[0] || pushes(line.command) {
		if err := line.addEnv(getenv); err != nil {
			return err
		}
	}
	named := findCommand(commands, line.path[0])
	return newApp([]*cli.Command{named}, stdout, stderr).RunContext(ctx, line.normal(program))
}

// pushes reports whether c pushes, to a gateway that the environment of a crontab or a
// container may name.
func pushes(c *cli.Command) bool {
	return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == flagURL })
}

// newApp leaves to cli what it is good at, flags with types and defaults, and
// switches off what parseArgs, printHelp and run do instead.
func newApp(commands []*cli.Command, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:                      program,
		Commands:                  commands,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		HideHelp:                  true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {},
	}
	prepare(commands)
	return app
}

func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelp = true
		c.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
			return usagef("%s", strings.ReplaceAll(err.Error(), "flag -", "flag --"))
		}
		prepare(c.Subcommands)
	}
}
