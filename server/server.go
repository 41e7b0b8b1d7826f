package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/server/transfer"
)

const (
	maxMessageBytes   = 4 << 20
	maxHeaderBytes    = 64 << 10
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
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

	httpListener, grpcListener net.Listener
	adminListener              net.Listener // nil without a data folder
	pipe                       *bufconn.Listener
	pipeConn                   *grpc.ClientConn

	front     *front
	http      *http.Server
	grpc      *grpc.Server
	admin     *http.Server
	adminAPI  *admin.Server
	health    *health.Server
	transfers *transfer.Handler
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
	s := &Server{cfg: cfg, pipe: bufconn.Listen(pipeBytes)}
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
	s.transfers = transfer.NewHandler(transfer.Config{
		Store: cfg.Store, Files: cfg.Files, Signer: signer,
		MaxUploadBytes: cfg.MaxUploadBytes, Now: cfg.Now, Log: cfg.Log,
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
		// On the listener, not on the server: the gateway's connection has none.
		s.grpcListener = tls.NewListener(s.grpcListener, grpcTLS)
	}
	if s.cfg.DataDir != "" {
		s.adminListener, err = admin.Listen(s.cfg.DataDir)
	}
	return err
}

func (s *Server) buildGRPC(signer *transfer.Signer) {
	chain := interceptor{log: s.cfg.Log, authenticate: authenticateCall(s.cfg.Store), draining: s.draining}
	s.grpc = grpc.NewServer(
		grpc.ChainUnaryInterceptor(chain.unary),
		grpc.ChainStreamInterceptor(chain.stream),
		grpc.UnknownServiceHandler(unknownMethod),
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxHeaderListSize(2*maxHeaderBytes), // the gateway adds to what HTTP took
		grpc.WaitForHandlers(true),               // whoever closes the store next must find nobody in it
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	promptforgev1.RegisterJobServiceServer(s.grpc, &service{
		store:         s.cfg.Store,
		files:         s.cfg.Files,
		offers:        s.cfg.Offers,
		now:           s.cfg.Now,
		signer:        signer,
		transfers:     s.transfers,
		pages:         pageTokens{s.cfg.Store},
		uploadURLTTL:  s.cfg.UploadURLTTL,
		resultsURLTTL: s.cfg.ResultsURLTTL,
		stopping:      s.stopping,
	})
	s.health = health.NewServer()
	s.health.SetServingStatus(promptforgev1.JobService_ServiceDesc.ServiceName, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	reflection.RegisterV1(s.grpc)
}

// unknownMethod answers for methods that do not exist, through the chain, so
// that they, too, want a key.
func unknownMethod(any, grpc.ServerStream) error {
	return status.Error(codes.Unimplemented, "There is no such method; gRPC reflection lists them all.")
}

func (s *Server) buildHTTP(config *tls.Config) error {
	conn, err := dialInProcess(s.pipe)
	if err != nil {
		return fmt.Errorf("connect the gateway: %w", err)
	}
	s.pipeConn = conn
	gateway, err := newGateway(conn)
	if err != nil {
		return err
	}
	s.front = &front{store: s.cfg.Store, log: s.cfg.Log, transfers: s.transfers, gateway: gateway.mux}
	s.http = &http.Server{
		Handler:           s.front,
		TLSConfig:         config,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout, // no WriteTimeout: streams and downloads set their own
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	return nil
}

func (s *Server) buildAdmin() {
	s.adminAPI = admin.NewServer(s.cfg.Store, s.cfg.Log)
	s.admin = &http.Server{
		Handler:           s.adminAPI,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// HTTPAddr is the address that HTTP is served on.
func (s *Server) HTTPAddr() string { return s.httpListener.Addr().String() }

// GRPCAddr is the address that gRPC is served on.
func (s *Server) GRPCAddr() string { return s.grpcListener.Addr().String() }

// Admin is the admin socket's handler, for more verbs (before Serve) and for
// its Observer, which --admin-addr shows.
func (s *Server) Admin() *admin.Server { return s.adminAPI }

// publicURL is what absolute URLs begin with.
func (s *Server) publicURL() string {
	if s.cfg.PublicURL != "" {
		return s.cfg.PublicURL
	}
	return ownURL(s.httpListener, s.cfg.TLSCert != "")
}

// Close gives up a server that is not to be served after all.
func (s *Server) Close() error { return s.closeListeners() }

func (s *Server) closeListeners() error {
	s.beginStopping()
	s.endHealth()
	var errs []error
	for _, l := range []net.Listener{s.httpListener, s.grpcListener, s.adminListener, s.pipe} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.pipeConn != nil {
		// It was only ever in process; there is nothing to lose.
		s.pipeConn.Close() //nolint:errcheck // as said
	}
	return errors.Join(errs...)
}
