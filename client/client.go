package client

import (
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// maxOutcomeBytes bounds a received message. The service takes answers of up to
// 16 MiB and lines of up to 10 MiB, which come back in one outcome.
const maxOutcomeBytes = 64 << 20

// Client is a connection to a PromptForge service in the name of one API key.
// Any number of goroutines may use it. Whoever dialled it closes it.
type Client struct {
	conn     *grpc.ClientConn
	jobs     promptforgev1.JobServiceClient
	backoff  func(attempt int) time.Duration
	patience time.Duration
}

// Dial makes a client of the service at target: host:port, or another name that
// gRPC knows, such as dns:///host:port or unix:///path. Nothing is connected
// yet, so that a service that is not there shows at the first call.
//
// The connection is TLS with the system's certificates, and plain to this
// machine itself (localhost, 127.0.0.0/8, ::1, unix); [WithTLS] and
// [WithPlaintext] say otherwise. The key goes with every call, and never in
// plain text to another machine, unless WithPlaintext allows it.
//
// An error is a sentence that says which argument is wrong; it never has the
// key in it.
func Dial(target, apiKey string, opts ...Option) (*Client, error) {
	if err := checkTarget(target); err != nil {
		return nil, err
	}
	if err := checkAPIKey(apiKey); err != nil {
		return nil, err
	}
	s := settings{backoff: defaultBackoff, patience: defaultPatience}
	for _, opt := range opts {
		opt(&s)
	}
	transport, err := s.transport(target)
	if err != nil {
		return nil, err
	}
	key := keyCredentials{key: apiKey, plain: s.plain || isLocal(target)}
	conn, err := grpc.NewClient(target, append([]grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(key),
		grpc.WithUserAgent("promptforge-go"),
		grpc.WithDisableServiceConfig(), // who is called again, and when, is decided here
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxOutcomeBytes)),
		// The service allows a ping every 10 s. None without a call: some
		// proxies would close the connection for it.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
		// How soon gRPC connects again; never slower than the calls ask for it.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: 10 * time.Second,
		}),
	}, s.dial...)...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	return &Client{
		conn: conn, jobs: promptforgev1.NewJobServiceClient(conn),
		backoff: s.backoff, patience: s.patience,
	}, nil
}

// Close ends the connection and every call on it, with code CANCELED.
func (c *Client) Close() error { return c.conn.Close() }

// Jobs is the service itself, for all that is not wrapped here: cancelling,
// listing, deleting. Its calls carry the key, and are tried once. It ends with
// the client.
func (c *Client) Jobs() promptforgev1.JobServiceClient { return c.jobs }
