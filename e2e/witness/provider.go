package witness

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/promptforge/promptforge/e2e/judge"
	"github.com/promptforge/promptforge/simulator"
)

// Provider is a simulator that can tell when a dead client's last request has
// been counted.
type Provider struct {
	URL string // ends in /v1

	sim    *simulator.Server
	server *httptest.Server

	mu    sync.Mutex
	open  int
	quiet *sync.Cond // open is 0
}

// NewProvider starts a provider on a port of its own.
func NewProvider(cfg simulator.Config) (*Provider, error) {
	sim, err := simulator.New(cfg)
	if err != nil {
		return nil, err
	}
	p := &Provider{sim: sim}
	p.quiet = sync.NewCond(&p.mu)
	p.server = httptest.NewUnstartedServer(sim)
	p.server.Config.ConnState = p.follow
	p.server.Start()
	p.URL = p.server.URL + "/v1"
	return p, nil
}

// Close stops the provider.
func (p *Provider) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

func (p *Provider) follow(_ net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch state {
	case http.StateNew:
		p.open++
	case http.StateClosed, http.StateHijacked:
		p.open--
		if p.open == 0 {
			p.quiet.Broadcast()
		}
	}
}

// Counts returns what was seen so far.
func (p *Provider) Counts() judge.Counts {
	return func(prompt string) judge.Count {
		s := p.sim.PromptStats(prompt)
		return judge.Count{Requests: s.Requests, RateLimited: s.RateLimited}
	}
}

// Requests counts all requests so far.
func (p *Provider) Requests() int64 { return p.sim.Stats().Requests }

// Settle waits until everything that a dead client sent is counted: what it
// wrote before its end may still lie in a socket.
func (p *Provider) Settle() error {
	// Connections are accepted in their order, so when this one is served all
	// of the dead client's are open, or over.
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := once.Get(p.server.URL + "/_stats")
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.open > 0 {
		p.quiet.Wait()
	}
	return nil
}
