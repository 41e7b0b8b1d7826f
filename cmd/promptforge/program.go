package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
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
	case completeVerb:
		return p.exitCode(p.complete(args[1:]))
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
	p.args = joinNegative(args)
	_, command, err := p.parse(p.settings)
	if err != nil {
		return err
	}
	return command.Run(p)
}

// complete prints what a shell asks for.
func (p *program) complete(words []string) error {
	parser, err := p.parser(&cli{}, p.settings)
	if err != nil {
		return err
	}
	for _, candidate := range complete(parser.Model.Node, words) {
		fmt.Fprintln(p.stdout, candidate)
	}
	return nil
}

func (p *program) parser(grammar *cli, s *settings) (*kong.Kong, error) {
	return kong.New(grammar,
		kong.Name("promptforge"),
		kong.Description("Takes a file of prompts, sends them all to an LLM provider as fast as it allows, and hands the answers back."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { panic(stopParsing{code}) }),
		kong.Resolvers(s),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.ValueFormatter(describeFlag),
	)
}

// parse reads the command line, with what it leaves out from s.
func (p *program) parse(s *settings) (*cli, *kong.Context, error) {
	var grammar cli
	parser, err := p.parser(&grammar, s)
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

// joinNegative makes one word of a flag and a negative number after it, which
// would pass for a flag of its own: so the flag itself says what it needs.
func joinNegative(args []string) []string {
	var joined []string
	for _, arg := range args {
		last := len(joined) - 1
		if negative.MatchString(arg) && last >= 0 && strings.HasPrefix(joined[last], "--") && !strings.Contains(joined[last], "=") {
			joined[last] += "=" + arg
			continue
		}
		joined = append(joined, arg)
	}
	return joined
}

var negative = regexp.MustCompile(`^-[0-9.]`)

// inOurWords are the sentences of a library, and what we say instead.
var inOurWords = strings.NewReplacer(
	"expected a valid 64 bit int but got", "needs a whole number, not",
	"expected a valid 64 bit uint but got", "needs a whole number of 0 or more, not",
	"expected a valid 64 bit float but got", "needs a number, not",
	"expected a float but got", "needs a number, not",
	" (string)", "",
	"invalid map value", "needs NAME=NUMBER, and no number is",
)

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
		err = errors.New(inOurWords.Replace(err.Error()))
		help := "promptforge --help"
		if node := wrong.Context.Selected(); node != nil {
			help = node.FullPath() + " --help"
		} else if len(wrong.Context.Args) > 0 && isFile(wrong.Context.Args[0]) {
			return fmt.Errorf("to send the prompts in %[1]s: promptforge run %[2]s --provider NAME --model NAME", wrong.Context.Args[0], quote(wrong.Context.Args[0]))
		}
		return fmt.Errorf("%w (%s shows what there is)", err, help)
	}
	return err
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
