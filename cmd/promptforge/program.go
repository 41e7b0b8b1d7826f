package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitInterrupted = 130 // as a shell says of a program that ctrl-C ended
)

// program is what a command works with beside its flags.
type program struct {
	ctx            context.Context // ends at the first SIGINT or SIGTERM
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string

	args     []string
	settings *settings     // of the configuration file
	every    time.Duration // between two lines of progress where there is no terminal
}

// errExit ends the program with a code and an optional sentence. One without a
// sentence has said what there is to say already.
type errExit struct {
	code int
	err  error
}

func (e *errExit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *errExit) Unwrap() error { return e.err }

// run is the whole program; ctx ends where a signal would end it. It returns
// the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	p := &program{
		ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv,
		settings: &settings{getenv: getenv}, every: 3 * time.Second,
	}
	return p.run(args)
}

func (p *program) run(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(p.stdout, tour)
		return exitOK
	}
	switch args[0] { // what fingers type out of habit
	case "help":
		args = append(args[1:len(args):len(args)], "--help")
	case "--version":
		args = []string{"version"}
	}
	return p.exitCode(p.execute(args))
}

// exitCode says what an error has to say, once, in one line.
func (p *program) exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, context.Canceled) && p.ctx.Err() != nil {
		err = &errExit{exitInterrupted, errors.New("stopped")}
	}
	code := exitFailed
	var exit *errExit
	if errors.As(err, &exit) {
		if code = exit.code; exit.err == nil {
			return code
		}
	}
	fmt.Fprintf(p.stderr, "promptforge: %s\n", oneLine(err.Error()))
	return code
}

// stopParsing is what kong's own exit (after --help) is turned into.
type stopParsing struct{ code int }

func (p *program) execute(args []string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			stop, ok := r.(stopParsing)
			if !ok {
				panic(r)
			}
			if stop.code != 0 {
				err = &errExit{code: stop.code}
			}
		}
	}()
	p.args = args
	_, command, err := p.parse(p.settings)
	if err != nil {
		return err
	}
	return command.Run(p)
}

// parse reads the command line, with what it leaves out from s.
func (p *program) parse(s *settings) (*cli, *kong.Context, error) {
	var grammar cli
	parser, err := kong.New(&grammar,
		kong.Name("promptforge"),
		kong.Description("Takes a file of prompts, sends them all to an LLM provider as fast as it allows, and hands the answers back."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { panic(stopParsing{code}) }),
		kong.Resolvers(s),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.ValueFormatter(describeFlag),
	)
	if err != nil {
		return nil, nil, err
	}
	s.known = knownSettings(parser.Model)
	command, err := parser.Parse(p.args)
	if err != nil {
		return nil, nil, parseMistake(err)
	}
	return &grammar, command, nil
}

// parseMistake makes one sentence of what kong found.
func parseMistake(err error) error {
	var source *settingError
	if errors.As(err, &source) {
		return source
	}
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil {
		if flag, _, ok := strings.Cut(err.Error(), `: expected `); ok && strings.Contains(err.Error(), `but got "EOL"`) {
			err = errors.New(flag + ": needs a value")
		}
		help := "promptforge --help"
		if node := wrong.Context.Selected(); node != nil {
			help = node.FullPath() + " --help"
		}
		return fmt.Errorf("%w (%s shows what there is)", err, help)
	}
	return err
}
