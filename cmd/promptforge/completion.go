package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd lets a shell complete commands, flags and their values. The
// scripts ask the program itself, so they need no renewal with a new version.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is the long help.
func (c *completionCmd) Help() string {
	return `For this shell alone, or for each new one by the same line in ~/.bashrc or ~/.zshrc (after compinit):

	source <(promptforge completion bash)
	source <(promptforge completion zsh)

For fish:

	promptforge completion fish > ~/.config/fish/completions/promptforge.fish
`
}

// Run prints the script.
func (c *completionCmd) Run(p *program) error {
	fmt.Fprint(p.stdout, completionScripts[c.Shell])
	return nil
}

// completeVerb is what the scripts call with the words after the program's
// name; the last one is being typed. It prints a candidate a line, and none
// where a file's name is expected.
const completeVerb = "__complete"

var completionScripts = map[string]string{
	"bash": `_promptforge() {
	local IFS=$'\n'
	COMPREPLY=($(promptforge ` + completeVerb + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _promptforge promptforge
`,
	"zsh": `_promptforge() {
	local -a found
	found=(${(f)"$(promptforge ` + completeVerb + ` "${(@)words[2,CURRENT]}" 2>/dev/null)"})
	if (( $#found )); then compadd -a found; else _files; fi
}
compdef _promptforge promptforge
`,
	"fish": `complete -c promptforge -a '(promptforge ` + completeVerb + ` (commandline -opc)[2..] (commandline -ct | string collect --allow-empty) 2>/dev/null)'
`,
}

// complete finds what the last of the words may become.
func complete(app *kong.Node, words []string) (candidates []string) {
	if len(words) == 0 {
		return nil
	}
	done, last := words[:len(words)-1], words[len(words)-1]
	node := app
	var waiting *kong.Flag // for its value
	for _, word := range done {
		switch {
		case waiting != nil:
			waiting = nil
		case strings.HasPrefix(word, "-"):
			if flag := flagOf(node, word); flag != nil && !flag.IsBool() {
				waiting = flag
			}
		default:
			for _, child := range node.Children {
				if child.Name == word {
					node = child
					break
				}
			}
		}
	}
	switch {
	case waiting != nil:
		candidates = waiting.EnumSlice()
	case strings.HasPrefix(last, "-"):
		for _, flag := range flagsOf(node) {
			candidates = append(candidates, "--"+flag.Name)
		}
	default:
		for _, child := range node.Children {
			candidates = append(candidates, child.Name)
		}
		for _, arg := range node.Positional {
			candidates = append(candidates, arg.EnumSlice()...)
		}
	}
	return slices.DeleteFunc(candidates, func(c string) bool { return c == "" || !strings.HasPrefix(c, last) })
}

func flagsOf(node *kong.Node) []*kong.Flag { return slices.Concat(node.AllFlags(true)...) }

// flagOf is the flag that a word names, without a value in the same word.
func flagOf(node *kong.Node, word string) *kong.Flag {
	for _, flag := range flagsOf(node) {
		if word == "--"+flag.Name || flag.Short != 0 && word == "-"+string(flag.Short) {
			return flag
		}
	}
	return nil
}
