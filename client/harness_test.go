package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/promptforge/promptforge/client"
	"github.com/promptforge/promptforge/dispatcher"
	"github.com/promptforge/promptforge/dispatcher/provider"
	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/server"
	"github.com/promptforge/promptforge/server/keys"
	"github.com/promptforge/promptforge/simulator"
	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/files"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is all of PromptForge: a store and a folder, a server, a dispatcher,
// and a provider behind a gate. Callers reach it through a proxy, whose address
// outlives the server.
type service struct {
	dir   string
	store *bolt.Store
	files *files.Folder
	offer offers
	sim   *httptest.Server
	gate  chan struct{} // nil: open; else each prompt takes one to be answered
	proxy *proxy
	key   string // of the client "acme"

	dispatching, serving         *errgroup.Group
	stopDispatching, stopServing context.CancelFunc
	tls                          [2]string // files of a certificate and its key
}

// start runs a service until the test's end.
func start(t *testing.T, options ...func(*service)) *service {
	t.Helper()
	s, err := startService(options...)
	must(t, err)
	t.Cleanup(func() { must(t, s.close()) })
	return s
}

// gated lets no prompt be answered before let.
func gated(s *service) { s.gate = make(chan struct{}, 10_000) }

func startService(options ...func(*service)) (_ *service, err error) {
	s := &service{}
	for _, option := range options {
		option(s)
	}
	if s.dir, err = os.MkdirTemp("", "promptforge-client-"); err != nil {
		return nil, err
	}
	if s.store, err = bolt.Open(filepath.Join(s.dir, "store.db"), bolt.Options{}); err != nil {
		return nil, err
	}
	if s.files, err = files.OpenFolder(filepath.Join(s.dir, "files")); err != nil {
		return nil, err
	}
	if s.key, _, err = keys.Issue(context.Background(), s.store, "acme", time.Now()); err != nil {
		return nil, err
	}
	sim, err := simulator.New(simulator.Config{})
	if err != nil {
		return nil, err
	}
	s.sim = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.gate != nil {
			// Only once the body is read does net/http notice who leaves.
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			select {
			case <-s.gate:
			case <-r.Context().Done():
				return
			}
		}
		sim.ServeHTTP(w, r)
	}))
	env := map[string]string{"OPENAI_API_KEY": "any", "OPENAI_BASE_URL": s.sim.URL + "/v1"}
	if s.offer.registry, err = provider.NewRegistry(nil, func(name string) string { return env[name] }); err != nil {
		return nil, err
	}
	if s.proxy, err = newProxy(); err != nil {
		return nil, err
	}
	s.dispatch()
	return s, s.serve()
}

func (s *service) dispatch() {
	d := dispatcher.New(dispatcher.Config{
		Store: s.store, Files: s.files, Log: slog.New(slog.DiscardHandler),
		Settings: dispatcher.Settings{
			Providers: s.offer.registry, RequestTimeout: time.Minute, RetryBase: time.Millisecond,
			MaxHold: time.Hour, MaxOutage: time.Hour,
		},
		MaxActiveJobs: 10, MaxInFlight: 64, DrainTimeout: time.Millisecond,
	})
	var ctx context.Context
	ctx, s.stopDispatching = context.WithCancel(context.Background())
	s.dispatching = &errgroup.Group{}
	s.dispatching.Go(func() error { return d.Run(ctx) })
}

// making is held while a server is made: each tells grpc-gateway its parser of
// queries, which that keeps in a variable of the package.
var making sync.Mutex

// serve starts a server on the store, behind the proxy.
func (s *service) serve() error {
	making.Lock()
	defer making.Unlock()
	srv, err := server.New(server.Config{
		Store: s.store, Files: s.files, Offers: s.offer, Log: slog.New(slog.DiscardHandler),
		HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0", TLSCert: s.tls[0], TLSKey: s.tls[1],
	})
	if err != nil {
		return err
	}
	s.proxy.to(srv.GRPCAddr())
	var ctx context.Context
	ctx, s.stopServing = context.WithCancel(context.Background())
	s.serving = &errgroup.Group{}
	s.serving.Go(func() error { return srv.Serve(ctx) })
	return nil
}

// restart stops the server, as an operator does, and starts another.
func (s *service) restart() error {
	s.stopServing()
	return errors.Join(s.serving.Wait(), s.serve())
}

// close stops everything; what a test left in flight is given up.
func (s *service) close() error {
	s.stopDispatching()
	err := s.dispatching.Wait()
	var gaveUp *dispatcher.GaveUpError
	if errors.As(err, &gaveUp) {
		err = nil
	}
	s.stopServing()
	err = errors.Join(err, s.serving.Wait(), s.proxy.close(), s.store.Close())
	s.sim.CloseClientConnections()
	s.sim.Close()
	return errors.Join(err, os.RemoveAll(s.dir))
}

// let lets n prompts be answered.
func (s *service) let(n int) {
	for range n {
		s.gate <- struct{}{}
	}
}

// dial is a client that waits little and gives up late.
func (s *service) dial(t *testing.T, opts ...client.Option) *client.Client {
	t.Helper()
	return s.dialAs(t, s.key, opts...)
}

func (s *service) dialAs(t *testing.T, key string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.Dial(s.proxy.addr(), key, append([]client.Option{
		client.WithBackoff(func(int) time.Duration { return 5 * time.Millisecond }),
		client.WithPatience(time.Minute),
	}, opts...)...)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// offers is a registry as the server asks it.
type offers struct{ registry *provider.Registry }

func (o offers) Offered(name, model string) error {
	var not *provider.NotOffered
	if err := o.registry.Offered(name, model); errors.As(err, &not) {
		return &server.NotOffered{Model: not.Model, Sentence: not.Sentence}
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var request = &promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"}

func promptText(id int64) string { return fmt.Sprintf("say %d", id) }

// prompts is a file of n prompts, with the ids 1 to n.
func prompts(n int64) string {
	var b strings.Builder
	for id := range n {
		fmt.Fprintf(&b, `{"prompt_id":%d,"prompt":%q}`+"\n", id+1, promptText(id+1))
	}
	return b.String()
}

// collect reads outcomes to their end, and checks that each of the n prompts has
// its own answer, once, in the order of the offsets. each is called behind every
// outcome with how many there were.
func collect(t *testing.T, n int64, all iter.Seq2[*promptforgev1.Outcome, error], each func(int64)) {
	t.Helper()
	seen := map[int64]bool{}
	for outcome, err := range all {
		must(t, err)
		id := outcome.GetInt64Id()
		if seen[id] {
			t.Errorf("prompt %d came twice", id)
		}
		seen[id] = true
		if got := int64(len(seen)); outcome.GetOffset() != got {
			t.Errorf("outcome %d has the offset %d", got, outcome.GetOffset())
		}
		if outcome.GetResult().GetResult() != simulator.Answer(promptText(id)) {
			t.Errorf("prompt %d has another answer: %v", id, outcome)
		}
		if each != nil {
			each(int64(len(seen)))
		}
	}
	if int64(len(seen)) != n {
		t.Errorf("%d of %d outcomes came", len(seen), n)
	}
}

// last is the error that an iterator ends with.
func last(all iter.Seq2[*promptforgev1.Outcome, error]) (err error) {
	for _, err = range all {
	}
	return err
}

// intercept sees every unary call.
func intercept(f grpc.UnaryClientInterceptor) client.Option {
	return client.WithDialOptions(grpc.WithUnaryInterceptor(f))
}
