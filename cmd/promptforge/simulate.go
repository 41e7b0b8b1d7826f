package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/promptforge/promptforge/server"
	"github.com/promptforge/promptforge/simulator"
)

// simulateCmd runs the stand-in provider. None of its flags is a setting: a
// server's configuration must not change what it is tried against.
type simulateCmd struct {
	Addr        address            `help:"Where to listen; port 0 picks a free one." default:"127.0.0.1:8089"`
	Latency     span               `help:"How long an answer takes to begin." default:"50ms"`
	PerToken    span               `help:"How much longer it takes for each token of the answer." default:"0"`
	Jitter      bool               `help:"Vary the latency from prompt to prompt."`
	RPM         int                `name:"rpm" help:"Refuse more requests a minute than this; 0 is no limit." default:"0" placeholder:"N"`
	TPM         int                `name:"tpm" help:"Refuse more tokens a minute than this; 0 is no limit." default:"0" placeholder:"N"`
	Concurrency int                `help:"Refuse more requests at once than this; 0 is no limit." default:"0" placeholder:"N"`
	LimitKind   string             `help:"How limits are counted: bucket (refills evenly), fixed (windows of a minute) or sliding (the last minute)." default:"bucket" placeholder:"KIND"`
	Headers     bool               `help:"Tell the limits in headers, as real providers do; --headers=false leaves them to be learned." default:"true" negatable:""`
	Errors      float64            `help:"The share of requests, from 0 to 1, that fail with 500 or 503." default:"0" placeholder:"SHARE"`
	Resets      float64            `help:"The share whose connection is reset." default:"0" placeholder:"SHARE"`
	Hang        float64            `help:"The share that is never answered." default:"0" placeholder:"SHARE"`
	Garbage     float64            `help:"The share that gets 200 and a broken body." default:"0" placeholder:"SHARE"`
	Fault       map[string]float64 `help:"The share that ends in CLASS (above); again for more." placeholder:"CLASS=SHARE" mapsep:","`
	Seed        uint64             `help:"Another seed gives other faults; the same seed gives the same ones in any order." default:"0" placeholder:"N"`
}

// Help is the long help.
func (c *simulateCmd) Help() string {
	return `It speaks the APIs of OpenAI, Anthropic, Gemini and Mistral and takes any credential. Every answer depends on its prompt alone.

	promptforge simulate --rpm 600 --fault 429=0.02,529=0.01
	export OPENAI_BASE_URL=http://127.0.0.1:8089/v1 OPENAI_API_KEY=any
	export ANTHROPIC_BASE_URL=http://127.0.0.1:8089 ANTHROPIC_API_KEY=any
	export GEMINI_BASE_URL=http://127.0.0.1:8089 GEMINI_API_KEY=any
	export MISTRAL_BASE_URL=http://127.0.0.1:8089/mistral MISTRAL_API_KEY=any

/openai, /anthropic, /gemini and /mistral before a path pick an API. At the root OpenAI and Mistral share a path: there a request is Mistral's by its model's name (mistral-…, ministral-…, codestral-… and so on) or a field that only Mistral has, such as random_seed. A model whose name holds "no-such" is unknown.

[[simulate:CLASS]] in a prompt decides what becomes of that prompt, [[simulate:CLASS:N]] of its first N attempts. The classes: ` + strings.Join(simulator.Classes(), ", ") + `.

The weather is what happens to all prompts, and can be changed while it runs. For ten minutes of 503, a credit that is used up after 600 answers, and a key that is refused:

	curl -d '{"class": "503", "for": "10m"}' http://127.0.0.1:8089/_weather
	curl -d '{"class": "insufficient_quota", "after": 600}' http://127.0.0.1:8089/_weather
	curl -d '{"class": "401", "key": "sk-old"}' http://127.0.0.1:8089/_weather
	curl -X DELETE http://127.0.0.1:8089/_weather

"share", "dialect" and "model" narrow it further; a list of such objects is several at once, and each POST replaces what was. GET /_stats counts what was seen, in all and for each API; ?prompts=true for each prompt too. POST /_reset starts the counts anew.
`
}

// Run serves until it is told to stop.
func (c *simulateCmd) Run(p *program) error {
	cfg := simulator.Config{
		Latency: time.Duration(c.Latency), PerToken: time.Duration(c.PerToken), Jitter: c.Jitter,
		RPM: c.RPM, TPM: c.TPM, Concurrency: c.Concurrency, LimitKind: c.LimitKind, Headers: c.Headers,
		Errors: c.Errors, Resets: c.Resets, Hang: c.Hang, Garbage: c.Garbage, Seed: c.Seed,
	}
	for _, class := range slices.Sorted(maps.Keys(c.Fault)) {
		cfg.Faults = append(cfg.Faults, simulator.Fault{Class: class, Share: c.Fault[class]})
	}
	if err := cfg.Validate(); err != nil {
		// A line for each mistake, which begins with the flag's name.
		return errors.New("--" + strings.ReplaceAll(err.Error(), "\n", "; --"))
	}
	sim, err := simulator.New(cfg)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", string(c.Addr))
	if err != nil {
		return fmt.Errorf("--addr %s: cannot listen on this address: %w", c.Addr, errors.Unwrap(err))
	}
	url := "http://" + server.Reachable(listener)
	fmt.Fprintf(p.stdout, "listening url=%s\n", url)
	fmt.Fprintf(p.stderr, "Point PromptForge at it:\n"+
		"  export OPENAI_BASE_URL=%[1]s/v1 OPENAI_API_KEY=any\n"+
		"  export ANTHROPIC_BASE_URL=%[1]s ANTHROPIC_API_KEY=any\n"+
		"  export GEMINI_BASE_URL=%[1]s GEMINI_API_KEY=any\n"+
		"  export MISTRAL_BASE_URL=%[1]s/mistral MISTRAL_API_KEY=any\n", url)

	provider := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	defer context.AfterFunc(p.ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if provider.Shutdown(ctx) != nil {
			provider.Close() //nolint:errcheck // requests that hang are cut, as a dead provider would
		}
	})()
	if err := provider.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the simulator stopped: %w", err)
	}
	<-stopped
	stats := sim.Stats()
	fmt.Fprintf(p.stderr, "Stopped after %s, %s of them answered.\n", plural(stats.Requests, "request"), number(stats.Answered))
	return nil
}
