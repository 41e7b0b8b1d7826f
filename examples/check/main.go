// Command check compares a prompts file with the outcomes that came back for
// it: every prompt must have exactly one record, under its own prompt_id with
// the type and the digits that it came with, and every line that could not be
// used must have one that names it.
//
//	go run ./examples/check PROMPTS OUTDIR [--answered-by-simulator]
//
// With --answered-by-simulator each result must also be what the simulator
// answers to that very prompt. The exit code is 0 when all is well, 1 after
// printing the first differences.
package main

import (
	"fmt"
	"io"
	"os"
)

const usage = "usage: check PROMPTS OUTDIR [--answered-by-simulator]"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var names []string
	simulated := false
	for _, arg := range args {
		switch {
		case arg == "--answered-by-simulator":
			simulated = true
		case len(arg) > 1 && arg[0] == '-':
			fmt.Fprintf(stderr, "check: there is no flag %s; %s\n", arg, usage)
			return 1
		default:
			names = append(names, arg)
		}
	}
	if len(names) != 2 {
		fmt.Fprintln(stderr, usage)
		return 1
	}
	prompts, err := readPrompts(names[0])
	if err != nil {
		fmt.Fprintf(stderr, "check: %s\n", err)
		return 1
	}
	c := &comparison{prompts: prompts, simulated: simulated}
	if err := c.readFolder(names[1]); err != nil {
		fmt.Fprintf(stderr, "check: %s\n", err)
		return 1
	}
	c.missing()
	if len(c.differences) > 0 {
		for _, d := range c.differences {
			fmt.Fprintln(stderr, d)
		}
		fmt.Fprintf(stdout, "%d of %d prompts answered, and there are differences\n", c.answered, prompts.count)
		return 1
	}
	fmt.Fprintln(stdout, c.summary())
	return 0
}
