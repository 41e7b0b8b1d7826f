package server

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// The hard limits of both ports: what a caller may send, and how long it may
// keep something of the server busy while it sends or takes nothing. What a
// JSON body may hold is checked in server/pjson, what a file may hold in
// server/transfer and storage/intake.
const (
	maxHeaderBytes = 64 << 10
	maxJSONBody    = 1 << 20
	// maxMessageBytes bounds a message that comes over gRPC.
	maxMessageBytes = 4 << 20
	// maxOutcomeBytes bounds a message that goes out over gRPC: an answer of
	// 16 MiB, the line's metadata (10 MiB) and what is around them. A gRPC client
	// refuses more than 4 MiB unless it is told otherwise.
	maxOutcomeBytes = 64 << 20
	// maxStreams bounds the calls that are open at once on one connection; over
	// gRPC a further one waits in its client.
	maxStreams = 1000
	// maxHTTPStreams bounds the requests that are open at once on one HTTP/2
	// connection.
	maxHTTPStreams = 250

	// readHeaderTimeout is for all that comes before a request: TLS, HTTP/2's
	// beginning, a request's headers.
	readHeaderTimeout = 10 * time.Second
	// bodyTimeout is for a whole request body, but for a file's.
	bodyTimeout = time.Minute
	// answerTimeout is from a request's headers to the last byte that its caller
	// takes; streams and downloads set their own for each piece.
	answerTimeout = 2 * time.Minute
	idleTimeout   = 2 * time.Minute

	// An idle gRPC connection is closed, and an old one renewed, so that clients
	// spread over the instances of today and see a new certificate. Neither ends
	// a call.
	maxConnectionIdle = 15 * time.Minute
	maxConnectionAge  = time.Hour
	// A caller that has vanished is noticed by pings.
	pingAfter   = time.Minute
	pingTimeout = 20 * time.Second
	// minPingTime is how often a caller may ping.
	minPingTime = 10 * time.Second
)

// newHTTPServer is an http.Server within the limits.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           withBodyTimeout(handler),
		ReadHeaderTimeout: readHeaderTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxHTTPStreams,
			SendPingTimeout:      pingAfter,
			PingTimeout:          pingTimeout,
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// withBodyTimeout gives a request's body its time, read or not: net/http reads
// what a handler left of it before it takes the next request. A request without
// a body has no deadline, since its end would pass for a caller who went away.
func withBodyTimeout(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) //nolint:errcheck // net/http's own writer has deadlines
		}
		next.ServeHTTP(w, r)
	})
}

// grpcLimits are for gRPC's port.
func grpcLimits() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxSendMsgSize(maxOutcomeBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(readHeaderTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: maxConnectionIdle, MaxConnectionAge: maxConnectionAge,
			Time: pingAfter, Timeout: pingTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPingTime, PermitWithoutStream: true}),
	}
}

// warnPlain logs each port on which keys and prompts pass other machines
// unprotected.
func (s *Server) warnPlain() {
	if s.cfg.TLSCert != "" {
		return
	}
	for _, port := range []struct {
		flag string
		addr net.Addr
	}{{"--http-addr", s.httpListener.Addr()}, {"--grpc-addr", s.grpcListener.Addr()}} {
		if tcp, ok := port.addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
			continue
		}
		s.cfg.Log.Warn("keys and prompts pass this port without TLS: give --tls-cert and --tls-key, or let only a proxy with TLS reach it",
			"flag", port.flag, "address", port.addr.String())
	}
}
