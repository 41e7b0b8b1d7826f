package admin

import (
	"log/slog"
	"net/http"
	"net/http/pprof"

	"github.com/go-json-experiment/json"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

const maxBody = 1 << 20

// Server is the http.Handler behind the admin socket.
type Server struct {
	keys     Keys
	log      *slog.Logger
	all      *http.ServeMux
	observed *http.ServeMux
}

// NewServer makes a Server with the verbs for keys and /debug/pprof/. log may
// be nil.
func NewServer(store storage.Keys, log *slog.Logger) *Server {
	if log == nil {
		log = slog.Default()
	}
	s := &Server{keys: Local{Store: store}, log: log, all: http.NewServeMux(), observed: http.NewServeMux()}
	s.Handle("POST /keys", s.verb(s.createKey))
	s.Handle("GET /keys", s.verb(s.listKeys))
	s.Handle("POST /keys/{id}/revoke", s.verb(s.revokeKey))
	s.Observe("/debug/pprof/", http.HandlerFunc(pprof.Index))
	s.Observe("/debug/pprof/cmdline", http.HandlerFunc(pprof.Cmdline))
	s.Observe("/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	s.Observe("/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
	s.Observe("/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	notFound := func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.New(problem.NotFound, "This server has no such command; the command line and the server may be of different versions."))
	}
	s.all.HandleFunc("/", notFound)
	s.observed.HandleFunc("/", notFound)
	return s
}

// Handle adds a verb, on the socket only. Patterns are http.ServeMux's.
func (s *Server) Handle(pattern string, h http.Handler) { s.all.Handle(pattern, h) }

// Observe adds something that only shows (metrics, profiles), on the socket
// and in Observer.
func (s *Server) Observe(pattern string, h http.Handler) {
	s.all.Handle(pattern, h)
	s.observed.Handle(pattern, h)
}

// Observer is the part of the server that only shows and changes nothing, for
// --admin-addr: no verb can be reached through it.
func (s *Server) Observer() http.Handler { return s.observed }

// ServeHTTP serves the socket.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.all.ServeHTTP(w, r) }

// verb makes a handler of a function that answers an object or a problem.
func (s *Server) verb(do func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		answer, err := do(r)
		if err != nil {
			if p := problem.From(err); p.Cause != nil {
				s.log.WarnContext(r.Context(), "an admin command failed", "path", r.URL.Path, "error", p.Cause)
			}
			problem.Write(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if err := json.MarshalWrite(w, answer); err != nil {
			s.log.WarnContext(r.Context(), "an admin command's answer was not read", "path", r.URL.Path, "error", err)
		}
	})
}

func (s *Server) createKey(r *http.Request) (any, error) {
	var in createKeyRequest
	if err := json.UnmarshalRead(r.Body, &in, json.RejectUnknownMembers(true)); err != nil {
		return nil, problem.New(problem.BadRequest, `The body must be {"client":"…"}.`).Because(err)
	}
	plain, key, err := s.keys.CreateKey(r.Context(), in.Client)
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(r.Context(), "an API key was created", "key", key.ID, "client", key.Client)
	return createKeyResponse{Key: wireOf(key), Plain: plain}, nil
}

func (s *Server) listKeys(r *http.Request) (any, error) {
	list, err := s.keys.ListKeys(r.Context())
	if err != nil {
		return nil, err
	}
	out := listKeysResponse{Keys: []wireKey{}}
	for _, k := range list {
		out.Keys = append(out.Keys, wireOf(k))
	}
	return out, nil
}

func (s *Server) revokeKey(r *http.Request) (any, error) {
	id := r.PathValue("id")
	if err := s.keys.RevokeKey(r.Context(), id); err != nil {
		return nil, err
	}
	s.log.InfoContext(r.Context(), "an API key was revoked", "key", id)
	return struct{}{}, nil
}
