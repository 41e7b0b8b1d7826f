package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/promptforge/promptforge/server/apiref"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/transfer"
	"github.com/promptforge/promptforge/storage"
)

const (
	idempotencyHeader = "Idempotency-Key"
)

// front is the HTTP port: it decides by the path alone who answers, and holds
// back whatever has no key.
type front struct {
	leaving   *atomic.Bool // it is not ready any more
	store     storage.Store
	room      storage.Room
	failures  *failures
	log       *slog.Logger
	transfers http.Handler
	gateway   http.Handler
	reference http.Handler
	// running counts handlers, which outlive http.Server.Close.
	running sync.WaitGroup
}

func (f *front) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	f.running.Add(1)
	defer f.running.Done()
	begin := time.Now()
	w := &answer{ResponseWriter: rw}
	kind, handle := f.choose(r.URL.Path)
	defer func() {
		v := recover()
		if v == http.ErrAbortHandler {
			panic(v)
		}
		if v != nil {
			err := recovered(f.log, r.Method+" "+kind, v)
			if w.status != 0 {
				panic(http.ErrAbortHandler) // too late to answer: cut the connection
			}
			problem.Write(w, err)
		}
		f.done(r.Context(), r.Method, kind, w.status, time.Since(begin))
	}()
	handle(w, r)
}

// The kinds of requests, as the log names them: a path may hold what no log
// should, a kind does not.
const (
	kindHealth   = "health"
	kindReady    = "ready"
	kindTransfer = "transfer"
	kindDocs     = "docs"
	kindAPI      = "api"
	kindUnknown  = "unknown"
)

func (f *front) choose(path string) (kind string, handle http.HandlerFunc) {
	switch {
	case path == "/healthz":
		return kindHealth, onlyGet(healthy)
	case path == "/readyz":
		return kindReady, onlyGet(f.ready)
	case strings.HasPrefix(path, transfer.Prefix):
		return kindTransfer, f.transfers.ServeHTTP
	case path == apiref.DocumentPath, path == apiref.PagePath, strings.HasPrefix(path, apiref.PagePath+"/"):
		return kindDocs, onlyGet(f.reference.ServeHTTP)
	case path == "/v1", strings.HasPrefix(path, "/v1/"):
		return kindAPI, f.api
	default:
		return kindUnknown, func(w http.ResponseWriter, _ *http.Request) { problem.Write(w, noSuchRoute()) }
	}
}

// done logs a request. What passed the gateway is logged as the call it
// became, and health checks are many.
func (f *front) done(ctx context.Context, method, kind string, status int, took time.Duration) {
	level := slog.LevelInfo
	if kind != kindTransfer {
		level = slog.LevelDebug
	}
	f.log.LogAttrs(ctx, level, "request", slog.String("method", method), slog.String("kind", kind),
		slog.Int("code", status), slog.Duration("duration", took))
}

// notForwarded are the headers that the gateway makes something of and that
// mean nothing here: deadlines and trailers are gRPC's affair, and the rest is
// never believed.
var notForwarded = []string{"Grpc-Timeout", "Te", "Authorization", "X-Forwarded-For", "X-Forwarded-Host"}

// api is everything below /v1/ that needs a key.
func (f *front) api(w http.ResponseWriter, r *http.Request) {
	client, err := authenticateRequest(f.store, f.failures, r)
	if err != nil {
		if p := problem.From(err); p.Cause != nil {
			f.log.ErrorContext(r.Context(), "a key could not be checked", "error", p.Cause)
		}
		problem.Write(w, err)
		return
	}
	if err := checkRequest(r); err != nil {
		problem.Write(w, err)
		return
	}
	for _, name := range notForwarded {
		r.Header.Del(name)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxJSONBody)
	if err := checkRoute(r); err != nil {
		problem.Write(w, err)
		return
	}
	f.gateway.ServeHTTP(w, r.WithContext(withClient(r.Context(), client)))
}

// checkRequest finds what the gateway would pass over or answer in a parser's
// words.
func checkRequest(r *http.Request) error {
	if strings.Contains(strings.ToLower(r.URL.EscapedPath()), "%2f") {
		// An escaped slash belongs to a segment, and no segment of ours has one.
		return notFound()
	}
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		return badRequest("The query of this URL cannot be read; check its percent-encoding, and that its parameters are parted by &.")
	}
	if given := r.Header.Values(idempotencyHeader); len(given) > 0 && !validIdempotencyKeys(given) {
		return badRequest(detailIdempotencyKey)
	}
	return nil
}

func onlyGet(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			problem.Write(w, methodNotAllowed(r.Method, "GET, HEAD"))
			return
		}
		handle(w, r)
	}
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	noStore(w)
	w.Write([]byte(`{"status":"ok"}`))
}

func (f *front) ready(w http.ResponseWriter, r *http.Request) {
	if f.leaving.Load() {
		problem.Write(w, problem.New(problem.Unavailable, "The server is stopping; what it has begun it still answers."))
		return
	}
	if err := f.store.Ping(r.Context()); err != nil {
		f.log.ErrorContext(r.Context(), "the store is not ready", "error", err)
		problem.Write(w, problem.New(problem.Unavailable, "The store cannot take a write now; see the server's log.").Because(err))
		return
	}
	if sentence, _ := f.room.Short(); sentence != "" {
		problem.Write(w, problem.New(problem.Unavailable, sentence))
		return
	}
	healthy(w, r)
}

// answer remembers whether, and with what status, an answer has begun.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
