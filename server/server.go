package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/server/apiref"
	"github.com/promptforge/promptforge/server/quota"
	"github.com/promptforge/promptforge/server/transfer"
	"github.com/promptforge/promptforge/server/webhook"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/erase"
)

// Server is the service's outside. New opens its listeners, Serve serves them,
// and both Serve and Close close them.
type Server struct {
	cfg Config
	// stopping ends when Serve is told to stop: streams of jobs end then, since
	// a running job would hold up the stop for hours. draining ends when gRPC
	// takes nothing new: streams of the health service end then, having told.
	stopping, draining       context.Context
	beginStopping, endHealth context.CancelFunc
	leaving                  atomic.Bool // BeginDrain was called

	httpListener, grpcListener net.Listener
	adminListener              net.Listener // nil without a data folder

	front     *front
	events    *events
	http      *http.Server
	grpc      *grpc.Server
	calls     *inProcess // of the gateway
	admin     *http.Server
	adminAPI  *admin.Server
	health    *health.Server
	transfers *transfer.Handler
	quotas    *quota.Keeper
	failures  *failures
	orphans   *erase.Orphans
	webhooks  *webhook.Sender
	removing  sync.Mutex // held while files that the store names, or named, are removed
}

// New opens the listeners and prepares to serve. Its error is a sentence that
// names the flag, file or address at fault; nothing is left open then.
func New(cfg Config) (_ *Server, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	httpTLS, err := loadTLS(cfg, "h2", "http/1.1")
	if err != nil {
		return nil, err
	}
	grpcTLS, err := loadTLS(cfg, "h2")
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg}
	s.stopping, s.beginStopping = context.WithCancel(context.Background())
	s.draining, s.endHealth = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeListeners())
		}
	}()
	if err = s.listen(grpcTLS); err != nil {
		return nil, err
	}
	secret, err := cfg.Store.Secret(context.Background(), transfer.SecretName)
	if err != nil {
		return nil, fmt.Errorf("read the secret that signs transfer URLs: %w", err)
	}
	signer := transfer.NewSigner(secret, s.publicURL)
	s.quotas = quota.NewKeeper(quota.Config{Store: cfg.Store, Limits: cfg.Quotas, Clients: cfg.ClientQuotas, Now: cfg.Now})
	s.failures = newFailures(cfg.FailedAuthentications, cfg.Now)
	s.transfers = transfer.NewHandler(transfer.Config{
		Store: cfg.Store, Files: cfg.Files, Signer: signer, Quotas: s.quotas, Room: cfg.Room,
		MaxUploadBytes: cfg.MaxUploadBytes, Now: cfg.Now, Log: cfg.Log,
	})
	s.orphans = &erase.Orphans{Store: cfg.Store, Files: cfg.Files, Busy: s.transfers.Busy}
	s.webhooks = webhook.NewSender(webhook.Config{
		Store: cfg.Store, Allowed: cfg.WebhookAllow, Body: webhookBody, Now: cfg.Now, Log: cfg.Log,
		UserAgent: "PromptForge/" + cmp.Or(cfg.Version, "dev"),
	})
	s.buildGRPC(signer)
	if err = s.buildHTTP(httpTLS); err != nil {
		return nil, err
	}
	s.buildAdmin()
	return s, nil
}

// listen opens what is listened on. The HTTP listener stays plain, since
// http.Server speaks TLS itself.
func (s *Server) listen(grpcTLS *tls.Config) (err error) {
	if s.httpListener, err = listen("--http-addr", s.cfg.HTTPAddr); err != nil {
		return err
	}
	if s.grpcListener, err = listen("--grpc-addr", s.cfg.GRPCAddr); err != nil {
		return err
	}
	if grpcTLS != nil {
		s.grpcListener = tls.NewListener(s.grpcListener, grpcTLS)
	}
	if s.cfg.DataDir != "" {
		s.adminListener, err = admin.Listen(s.cfg.DataDir)
	}
	return err
}

func (s *Server) buildGRPC(signer *transfer.Signer) {
	jobs := &service{
		store:         s.cfg.Store,
		files:         s.cfg.Files,
		offers:        s.cfg.Offers,
		now:           s.cfg.Now,
		signer:        signer,
		transfers:     s.transfers,
		quotas:        s.quotas,
		webhooks:      s.cfg.WebhookAllow,
		pages:         pageTokens{s.cfg.Store},
		watched:       newWatchStates(),
		uploadURLTTL:  s.cfg.UploadURLTTL,
		resultsURLTTL: s.cfg.ResultsURLTTL,
		stopping:      s.stopping,
	}
	chain := interceptor{log: s.cfg.Log, authenticate: authenticateCall(s.cfg.Store, s.failures), quotas: s.quotas, draining: s.draining}
	keys := newKeyWatch(s.cfg.Store)
	s.events = &events{jobs: jobs, chain: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		return chain.stream(srv, ss, info, func(srv any, ss grpc.ServerStream) error { return keys.stream(srv, ss, info, next) })
	}}
	s.calls = newInProcess(&promptforgev1.JobService_ServiceDesc, jobs, chain.unary)
	s.grpc = grpc.NewServer(append(grpcLimits(),
		grpc.ChainUnaryInterceptor(chain.unary),
		grpc.ChainStreamInterceptor(s.events.chain),
		grpc.UnknownServiceHandler(unknownMethod),
		grpc.ForceServerCodecV2(newArrivalCodec()),
		grpc.WaitForHandlers(true), // whoever closes the store next must find nobody in it
	)...)
	s.grpc.RegisterService(checked(promptforgev1.JobService_ServiceDesc), jobs)
	s.health = health.NewServer()
	s.health.SetServingStatus(promptforgev1.JobService_ServiceDesc.ServiceName, grpc_health_v1.HealthCheckResponse_SERVING)
	s.grpc.RegisterService(checked(grpc_health_v1.Health_ServiceDesc), s.health)
	reflection.Register(s.grpc) // v1, and v1alpha for older clients
}

// unknownMethod answers for methods that do not exist, through the chain, so
// that they, too, want a key.
func unknownMethod(any, grpc.ServerStream) error {
	return status.Error(codes.Unimplemented, "There is no such method; gRPC reflection lists them all.")
}

func (s *Server) buildHTTP(config *tls.Config) error {
	gateway, err := newGateway(s.calls, s.events)
	if err != nil {
		return err
	}
	s.front = &front{leaving: &s.leaving, store: s.cfg.Store, room: s.cfg.Room, failures: s.failures, log: s.cfg.Log, transfers: s.transfers, gateway: gateway, reference: apiref.Handler()}
	s.http = newHTTPServer(s.front, s.cfg.Log)
	s.http.TLSConfig = config
	new(unused).watch(s.http)
	return nil
}

func (s *Server) buildAdmin() {
	s.adminAPI = admin.NewServer(s.cfg.Store, s.cfg.Log)
	s.adminAPI.ServeClients(admin.LocalClients{Store: s.cfg.Store, Now: s.cfg.Now, Keeper: s.quotas, Wait: purgeWait, Stop: s.stopping.Done()})
	s.adminAPI.ServeQuotas(&admin.LocalQuotas{Store: s.cfg.Store, Keeper: s.quotas})
	s.adminAPI.ServeBackup(s.backup)
	s.admin = &http.Server{
		Handler:           s.adminAPI,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout, // no limits else: an operator's verb may take its time
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// Configure goes by other quotas from now on, as Config describes them. One
// goroutine at a time calls it.
func (s *Server) Configure(all quota.Limits, clients map[string]storage.Quota, failedAuthentications int) {
	s.quotas.Configure(all, clients)
	s.failures.allow(failedAuthentications)
}

// HTTPAddr is the address that HTTP is served on.
func (s *Server) HTTPAddr() string { return s.httpListener.Addr().String() }

// GRPCAddr is the address that gRPC is served on.
func (s *Server) GRPCAddr() string { return s.grpcListener.Addr().String() }

// URL is where a client on this machine reaches REST.
func (s *Server) URL() string { return ownURL(s.httpListener, s.cfg.TLSCert != "") }

// GRPCTarget is where a client on this machine reaches gRPC, as host:port.
func (s *Server) GRPCTarget() string { return Reachable(s.grpcListener) }

// Admin is the admin socket's handler, for more verbs (before Serve) and for
// its Observer, which --admin-addr shows.
func (s *Server) Admin() *admin.Server { return s.adminAPI }

// publicURL is what absolute URLs begin with.
func (s *Server) publicURL() string {
	if s.cfg.PublicURL != "" {
		return s.cfg.PublicURL
	}
	return s.URL()
}

// Close gives up a server that is not to be served after all.
func (s *Server) Close() error { return s.closeListeners() }

func (s *Server) closeListeners() error {
	s.beginStopping()
	s.endHealth()
	var errs []error
	for _, l := range []net.Listener{s.httpListener, s.grpcListener, s.adminListener} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
