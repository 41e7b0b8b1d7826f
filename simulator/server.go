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
	cfg      Config
	dialects []dialect
	gate     *gate
	ledger   ledger
	ids      atomic.Uint64
}

// New returns a server that behaves as cfg says, or the error of Validate.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	s := &Server{
		cfg:      cfg,
		dialects: []dialect{openAI{}},
		gate:     newGate(cfg),
	}
	return s, nil
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
	// What no dialect claims is refused in the first one's words.
	d, op := s.dialects[0], opNone
	for _, each := range s.dialects {
		if op = each.match(r); op != opNone {
			d = each
			break
		}
	}
	x := exchange{s: s, w: w, r: r, d: d, op: op, id: s.ids.Add(1), start: time.Now()}
	switch op {
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
