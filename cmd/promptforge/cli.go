package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// stamp is set by make build.
var stamp string

// version is the stamp, or what Go knows of the module after go install.
var version = cmp.Or(stamp, moduleVersion(debug.ReadBuildInfo()))

func moduleVersion(info *debug.BuildInfo, ok bool) string {
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return info.Main.Version
}

// cli is the grammar of the command line.
type cli struct {
	Serve    serveCmd    `cmd:"" help:"Run the server: jobs over REST and gRPC."`
	Run      runCmd      `cmd:"" help:"Send one file of prompts and write the answers, without a server."`
	Jobs     jobsCmd     `cmd:"" help:"Submit, follow and fetch jobs of a running server."`
	Keys     keysCmd     `cmd:"" help:"Create, list and revoke the API keys of a server on this machine."`
	Clients  clientsCmd  `cmd:"" help:"List the clients of a server on this machine, set their quotas, and purge one."`
	Lanes    lanesCmd    `cmd:"" help:"Show what a server's lanes are doing, and probe held ones."`
	Compact  compactCmd  `cmd:"" help:"Rewrite a stopped server's store, so that nothing deleted is left in it."`
	Fsck     fsckCmd     `cmd:"" help:"Check a stopped server's data folder, and change nothing."`
	Verify   verifyCmd   `cmd:"" help:"Check a data folder, a backup or a folder of results."`
	Backup   backupCmd   `cmd:"" help:"Copy a data folder, also while a server runs on it."`
	Simulate simulateCmd `cmd:"" help:"Run a stand-in for an LLM provider, to try things out for free."`
	Version  versionCmd  `cmd:"" help:"Print the version."`

	Completion completionCmd `cmd:"" help:"Print a script that lets your shell complete commands and flags."`
}

type versionCmd struct{}

// Run prints the version.
func (c *versionCmd) Run(p *program) error {
	fmt.Fprintln(p.stdout, "promptforge "+version)
	return nil
}

const tour = `PromptForge takes a file of prompts, sends every one of them to an LLM
provider as fast as it allows, and hands the answers back. A prompt whose
answer is recorded is never sent again, whatever crashes in between.

A prompts file has one JSON object a line:

    {"prompt_id": "a1", "prompt": "Name three vegetables that grow in the shade."}

One file, no server:

    export OPENAI_API_KEY=...
    promptforge run prompts.jsonl --provider openai --model gpt-4o-mini

Try it for free first, with a stand-in for the provider in another terminal:

    promptforge simulate --rpm 600
    OPENAI_BASE_URL=http://127.0.0.1:8089/v1 OPENAI_API_KEY=any \
        promptforge run prompts.jsonl --provider openai --model gpt-4o-mini

A server for many clients:

    promptforge serve
    promptforge keys create alice
    PROMPTFORGE_API_KEY=pf_... promptforge jobs submit prompts.jsonl --provider openai --model gpt-4o-mini --wait

All commands: promptforge --help. One of them: promptforge run --help.
Exit codes: 0 it is done, 1 it is not (a sentence on stderr says why), 130 it
was stopped and can go on.
`
