package client

import (
	"crypto/tls"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Option changes how a Client connects and how patient it is.
type Option func(*settings)

type settings struct {
	tls      *tls.Config
	plain    bool
	backoff  func(attempt int) time.Duration
	patience time.Duration
	dial     []grpc.DialOption
}

// WithTLS connects with TLS and this configuration, also to this machine, for a
// private certificate authority for instance. The configuration is copied; nil
// is the zero one.
func WithTLS(config *tls.Config) Option {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return func(s *settings) { s.tls = config.Clone() }
}

// WithPlaintext connects without TLS, also to another machine. The API key, the
// prompts and the answers can then be read by whoever is on the way: it is for
// private networks, and for a mesh that encrypts by itself.
func WithPlaintext() Option {
	return func(s *settings) { s.plain = true }
}

// WithBackoff sets how long to wait before a call is tried again; attempt is 0
// for the first time after something came. Left out, it is 100 ms, doubled each
// time up to 15 s, less a random half of it. It may be called by many
// goroutines at once. What the service itself asks for comes on top.
func WithBackoff(backoff func(attempt int) time.Duration) Option {
	return func(s *settings) { s.backoff = backoff }
}

// WithPatience sets how long a call may wait in all, between tries that bring
// nothing, before it gives up with the last failure. Left out, it is 5 minutes;
// 0 tries once. A context bounds the whole call.
func WithPatience(patience time.Duration) Option {
	return func(s *settings) { s.patience = patience }
}

// WithDialOptions hands more options to gRPC, such as interceptors or a
// StatsHandler. They come last, and so go before what Dial sets itself; but
// with transport credentials that do not encrypt, a target on another machine is
// still refused.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, opts...) }
}

// transport is what the connection to target is secured with.
func (s *settings) transport(target string) (credentials.TransportCredentials, error) {
	switch {
	case s.tls != nil && s.plain:
		return nil, errors.New("WithTLS and WithPlaintext contradict each other; give one of them")
	case s.tls != nil:
		return credentials.NewTLS(s.tls), nil
	case s.plain || isLocal(target):
		return insecure.NewCredentials(), nil
	default:
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), nil
	}
}
