package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/promptforge/promptforge/dispatcher"
	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/server"
	"github.com/promptforge/promptforge/server/webhook"
	"github.com/promptforge/promptforge/storage/room"
)

type serveCmd struct {
	configFlag
	dataDirFlag
	HTTPAddr  address `name:"http-addr" setting:"" help:"Where REST listens; port 0 picks a free one." default:"127.0.0.1:8080" placeholder:"ADDR"`
	GRPCAddr  address `name:"grpc-addr" setting:"" help:"Where gRPC listens." default:"127.0.0.1:9090" placeholder:"ADDR"`
	AdminAddr address `setting:"" help:"Also show profiles here, without a password: for a private network. They always are on admin.sock in the data folder." placeholder:"ADDR"`
	PublicURL baseURL `name:"public-url" setting:"" help:"What clients reach this server under, for upload and download URLs; else the listener's address." placeholder:"URL"`
	TLSCert   string  `name:"tls-cert" setting:"" help:"Speak TLS with this certificate, a PEM file." placeholder:"FILE"`
	TLSKey    string  `name:"tls-key" setting:"" help:"The certificate's key, a PEM file." placeholder:"FILE"`

	MaxActiveJobs          count    `setting:"" help:"At most so many jobs run at once." default:"1000" placeholder:"N"`
	MaxActiveJobsPerClient count    `setting:"" help:"Of one client's jobs so many run at once; the others are PENDING." default:"1" placeholder:"N"`
	UploadURLTTL           duration `name:"upload-url-ttl" setting:"" help:"How long an upload URL is good." default:"15m" placeholder:"TIME"`
	Retention              duration `setting:"" help:"How long a job is kept after its end." default:"720h" placeholder:"TIME"`
	ResultsURLTTL          duration `name:"results-url-ttl" setting:"" help:"How long a download URL is good." default:"1h" placeholder:"TIME"`
	WebhookAllow           ranges   `setting:"" help:"Internal networks that webhooks may go to, such as 10.1.0.0/16,192.168.1.7/32." placeholder:"CIDR,…"`
	MaxUploadBytes         size     `setting:"" help:"The largest prompts file, after decompression." default:"20GiB" placeholder:"SIZE"`
	quotaFlags
	engineFlags
	LogLevel logLevel `setting:"" help:"How much is logged: debug, info, warn or error." default:"info" placeholder:"LEVEL"`
}

// Help is the long help.
func (c *serveCmd) Help() string {
	return `Providers come from the environment, by the names that each provider's own SDK uses (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, MISTRAL_API_KEY, and …_BASE_URL), or from the configuration file. A flag goes before its variable, and the variable before the file.

	OPENAI_API_KEY=... promptforge serve --data-dir /var/lib/promptforge

A configuration file:

	http_addr: 127.0.0.1:8080
	max_in_flight: 500
	providers:
	  local:
	    base_url: http://127.0.0.1:8000/v1
	    models: [llama-3.1-8b]

SIGHUP rereads the file and the credentials, whole or not at all. Ctrl-C or SIGTERM stops sending, lets what is in flight finish and ends; a second one ends at once, and nothing that was recorded is lost either way.
`
}

// Run serves until it is told to stop, or until something dies.
func (c *serveCmd) Run(p *program) error {
	if err := c.checkTLS(); err != nil {
		return err
	}
	registry, err := p.settings.registry()
	if err != nil {
		return err
	}
	var level slog.LevelVar
	level.Set(slog.Level(c.LogLevel))
	log := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: &level}))
	if !there(filepath.Join(c.DataDir, storeName)) { // so that a mistake leaves no folder behind
		err := server.Probe(server.Addr{Flag: "--http-addr", Addr: string(c.HTTPAddr)}, server.Addr{Flag: "--grpc-addr", Addr: string(c.GRPCAddr)}, server.Addr{Flag: "--admin-addr", Addr: string(c.AdminAddr)})
		if err != nil {
			return err
		}
	}
	m, err := openMemory(c.DataDir, int(c.MaxActiveJobsPerClient))
	if err != nil {
		return err
	}
	r, err := c.room(c.DataDir, log)
	if err != nil {
		return m.close(err)
	}
	err = c.serve(p, m, r, registry, log, &level)
	if closing := r.Close(); err == nil {
		err = closing
	}
	return m.close(err)
}

// checkTLS looks at the files before anything is opened.
func (c *serveCmd) checkTLS() error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key go together: give both or neither")
	}
	if c.TLSCert == "" {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
		return fmt.Errorf("--tls-cert %s --tls-key %s: %w", c.TLSCert, c.TLSKey, err)
	}
	return nil
}

func (c *serveCmd) serve(p *program, m *memory, keeper *room.Keeper, registry *provider.Registry, log *slog.Logger, level *slog.LevelVar) error {
	var offered offers
	offered.registry.Store(registry)
	srv, err := server.New(server.Config{
		Store: m.store, Files: m.files, Room: keeper, Offers: &offered, Log: log,
		HTTPAddr: string(c.HTTPAddr), GRPCAddr: string(c.GRPCAddr), PublicURL: string(c.PublicURL),
		Retention:    time.Duration(c.Retention),
		UploadURLTTL: time.Duration(c.UploadURLTTL), ResultsURLTTL: time.Duration(c.ResultsURLTTL),
		MaxUploadBytes: int64(c.MaxUploadBytes), DataDir: c.DataDir, WebhookAllow: webhook.Allowed(c.WebhookAllow),
		Quotas: c.limits(), ClientQuotas: p.settings.clientQuotas(), FailedAuthentications: int(c.QuotaFailedAuthentications),
		TLSCert: c.TLSCert, TLSKey: c.TLSKey, Version: version,
	})
	if err != nil {
		return err
	}
	observer, err := c.observe(srv)
	if err != nil {
		return errors.Join(err, srv.Close())
	}
	if err := c.greet(p, m, srv); err != nil {
		return errors.Join(err, srv.Close())
	}
	for _, u := range registry.Unread() {
		log.Warn("a file holds no credential; put it there and send SIGHUP", "setting", u.Setting, "file", u.File, "cause", "it "+u.Cause)
	}
	d := c.dispatcher(m, keeper, registry, int(c.MaxActiveJobs), log)
	srv.Admin().ServeLanes(lanesOf{d})
	r := &reloader{p: p, now: c, offers: &offered, server: srv, dispatcher: d, level: level, log: log}
	defer r.listen()()
	return together(p.ctx, srv, d, func(ctx context.Context) error {
		keeper.Run(ctx)
		return nil
	}, observer)
}

// together runs the dispatcher and the server. At a stop the dispatcher drains
// first, while the server still answers, so that a client can follow its last
// prompts; when either of them dies, both stop.
func together(ctx context.Context, srv *server.Server, d *dispatcher.Dispatcher, others ...func(context.Context) error) error {
	// The server outlives ctx until the dispatcher has drained.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	group, running := errgroup.WithContext(ctx)
	defer context.AfterFunc(running, srv.BeginDrain)()
	group.Go(func() error {
		defer stopServing()
		err := d.Run(running)
		if err == nil && running.Err() == nil {
			err = errors.New("the dispatcher ended by itself")
		}
		return err
	})
	group.Go(func() error {
		err := srv.Serve(serving)
		if err == nil && serving.Err() == nil {
			err = errors.New("the server ended by itself")
		}
		return err
	})
	for _, other := range others {
		if other != nil {
			group.Go(func() error { return other(serving) })
		}
	}
	return group.Wait()
}

// observe opens --admin-addr, where it is given. The function that comes back
// serves it until its context ends.
func (c *serveCmd) observe(srv *server.Server) (func(context.Context) error, error) {
	if c.AdminAddr == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", string(c.AdminAddr))
	if err != nil {
		return nil, fmt.Errorf("--admin-addr %s: cannot listen on this address: %w", c.AdminAddr, errors.Unwrap(err))
	}
	hs := &http.Server{Handler: srv.Admin().Observer(), ReadHeaderTimeout: 10 * time.Second}
	return func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() {
			hs.Close() //nolint:errcheck // a profile that is being taken is cut
		})()
		if err := hs.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("--admin-addr %s: %w", c.AdminAddr, err)
		}
		return nil
	}, nil
}

// greet says where everything is: one line for scripts on stdout, and the rest
// for a person on stderr.
func (c *serveCmd) greet(p *program, m *memory, srv *server.Server) error {
	fmt.Fprintf(p.stderr, "PromptForge %s serves REST on %s and gRPC on %s; everything is kept in %s.\n",
		version, srv.URL(), srv.GRPCTarget(), c.DataDir)
	has, err := m.hasKey(context.WithoutCancel(p.ctx))
	if err != nil {
		return fmt.Errorf("looking for API keys: %w", err)
	}
	if !has {
		fmt.Fprintf(p.stderr, "There is no API key yet. Make one for a client, also while the server runs:\n  promptforge keys create CLIENT --data-dir %s\n", quote(c.DataDir))
	}
	fmt.Fprintf(p.stdout, "listening url=%s grpc=%s\n", srv.URL(), srv.GRPCTarget())
	return nil
}
