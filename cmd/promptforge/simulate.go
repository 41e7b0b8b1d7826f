package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/promptforge/promptforge/simulator"
)

// simulateCmd runs the stand-in provider. None of its flags is a setting: a
// server's configuration must not change what it is tried against.
type simulateCmd struct {
	Addr        address `help:"Where to listen; port 0 picks a free one." default:"127.0.0.1:8089"`
	Latency     span    `help:"How long an answer takes to begin." default:"50ms"`
	PerToken    span    `help:"How much longer it takes for each token of the answer." default:"0"`
	Jitter      bool    `help:"Vary the latency from prompt to prompt."`
	RPM         int     `name:"rpm" help:"Refuse more requests a minute than this; 0 is no limit." default:"0" placeholder:"N"`
	TPM         int     `name:"tpm" help:"Refuse more tokens a minute than this; 0 is no limit." default:"0" placeholder:"N"`
	Concurrency int     `help:"Refuse more requests at once than this; 0 is no limit." default:"0" placeholder:"N"`
	LimitKind   string  `help:"How limits are counted: bucket (refills evenly), fixed (windows of a minute) or sliding (the last minute)." default:"bucket" placeholder:"KIND"`
	Headers     bool    `help:"Tell the limits in headers, as real providers do; --headers=false leaves them to be learned." default:"true" negatable:""`
	Errors      float64 `help:"The share of requests, from 0 to 1, that fail with 500 or 503." default:"0" placeholder:"SHARE"`
	Resets      float64 `help:"The share whose connection is reset." default:"0" placeholder:"SHARE"`
	Hang        float64 `help:"The share that is never answered." default:"0" placeholder:"SHARE"`
	Garbage     float64 `help:"The share that gets 200 and a broken body." default:"0" placeholder:"SHARE"`
	Seed        uint64  `help:"Another seed gives other faults; the same seed gives the same ones in any order." default:"0" placeholder:"N"`
}

// Help is the long help.
func (c *simulateCmd) Help() string {
	return `It speaks OpenAI's chat completions and takes any credential. Every answer depends on its prompt alone. GET /_stats counts what it saw.

	promptforge simulate --rpm 600 --errors 0.02
	export OPENAI_BASE_URL=http://127.0.0.1:8089/v1 OPENAI_API_KEY=any
`
}

// Run serves until it is told to stop.
func (c *simulateCmd) Run(p *program) error {
	cfg := simulator.Config{
		Latency: time.Duration(c.Latency), PerToken: time.Duration(c.PerToken), Jitter: c.Jitter,
		RPM: c.RPM, TPM: c.TPM, Concurrency: c.Concurrency, LimitKind: c.LimitKind, Headers: c.Headers,
		Errors: c.Errors, Resets: c.Resets, Hang: c.Hang, Garbage: c.Garbage, Seed: c.Seed,
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
	url := "http://" + listener.Addr().String()
	fmt.Fprintf(p.stdout, "listening url=%s\n", url)
	fmt.Fprintf(p.stderr, "Point PromptForge at it:\n  export OPENAI_BASE_URL=%s/v1 OPENAI_API_KEY=any\n", url)

	server := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	defer context.AfterFunc(p.ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close() //nolint:errcheck // requests that hang are cut, as a dead provider would
		}
	})()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the simulator stopped: %w", err)
	}
	<-stopped
	stats := sim.Stats()
	fmt.Fprintf(p.stderr, "Stopped after %s, %s of them answered.\n", plural(stats.Requests, "request"), number(stats.Answered))
	return nil
}
