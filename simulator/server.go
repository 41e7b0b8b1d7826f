package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Server is the provider. Safe for concurrent use; it starts no goroutine and
// needs no closing.
type Server struct {
	cfg     Config
	gate    *gate
	ledger  ledger
	ids     atomic.Uint64
	weather atomic.Pointer[sky] // nil while it is fair
}

// New returns a server that behaves as cfg says, or the error of Validate.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	return &Server{cfg: cfg, gate: newGate(cfg)}, nil
}

// ServeHTTP answers in the dialect whose route r is, and the simulator's own
// routes below /_. A reset needs a real connection: under a ResponseWriter
// that cannot be hijacked it panics with http.ErrAbortHandler, which a server
// takes as an order to drop the request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_") {
		s.control(w, r)
		return
	}
	x := exchange{s: s, w: w, r: r, path: r.URL.Path, id: s.ids.Add(1), start: time.Now()}
	x.route()
	switch x.op {
	case opGenerate, opEmbed:
		x.serve()
		// Last of all: a client that was reset may look at the stats at once,
		// and net/http does not wait for a handler that hijacked.
		if x.resets {
			reset(w)
		}
	default:
		x.lookup()
	}
}

// route sets the dialect, the operation and what of the path is left. A path
// that begins with a dialect's name is that dialect's; what none claims is
// refused in OpenAI's words.
func (x *exchange) route() {
	for i, d := range dialects {
		if rest, ok := strings.CutPrefix(x.path[min(1, len(x.path)):], d.name()); ok && strings.HasPrefix(rest, "/") {
			x.path, x.place, x.op = rest, i, d.match(x.r, rest)
			return
		}
	}
	for i, d := range dialects {
		if x.op = d.match(x.r, x.path); x.op != opNone {
			x.place = i
			x.shared = i == openAIPlace && x.op == opGenerate
			return
		}
	}
	x.place = openAIPlace
}
