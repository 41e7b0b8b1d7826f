// Package transfer moves files: it signs the URLs under which a client uploads
// its prompts and downloads its results without an API key, and serves them.
package transfer

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/quota"
	"github.com/promptforge/promptforge/storage"
)

// DefaultIdleTimeout is how long an upload or a download may go without moving
// a byte before it is cut.
const DefaultIdleTimeout = time.Minute

// DefaultMaxUploadBytes is the largest prompts file, after decompression.
const DefaultMaxUploadBytes = 20 << 30

// Config is what a Handler works with. Store, Files and Signer are required.
type Config struct {
	Store          storage.Store
	Files          storage.Files
	Signer         *Signer
	Quotas         *quota.Keeper    // nil: none
	Room           storage.Room     // nil: nobody looks after the disk
	MaxUploadBytes int64            // after decompression; 0: DefaultMaxUploadBytes
	IdleTimeout    time.Duration    // 0: DefaultIdleTimeout
	Now            func() time.Time // nil: time.Now
	Log            *slog.Logger     // nil: slog.Default()
}

// Handler serves the transfer URLs; it belongs under Prefix, and must see the
// request's path and query as they came. It relies on http.ResponseController
// for its deadlines, so a middleware's ResponseWriter needs an Unwrap method.
type Handler struct {
	Config
	mu   sync.Mutex
	busy map[job.ID]int
}

// NewHandler makes a Handler.
func NewHandler(c Config) *Handler {
	if c.Room == nil {
		c.Room = storage.EndlessRoom{}
	}
	if c.MaxUploadBytes == 0 {
		c.MaxUploadBytes = DefaultMaxUploadBytes
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = DefaultIdleTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Handler{Config: c, busy: map[job.ID]int{}}
}

// Busy tells whether an upload to the job is running, over HTTP or through
// Upload. It is for Store.ExpireUploads: a running upload holds it off.
func (h *Handler) Busy(id job.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.busy[id] > 0
}

// begin marks an upload as running until end is called.
func (h *Handler) begin(id job.ID) (end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy[id]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.busy[id]--; h.busy[id] == 0 {
			delete(h.busy, id)
		}
	}
}

const detailAltered = "This URL was not made by this server, or was altered on the way; use it exactly as it was given out."

// ServeHTTP serves one transfer. What is checked comes in this order: the
// signature, the expiry, the method, the client's keys, its quota of requests, the job's state,
// the quotas of an upload.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g, ok := h.Signer.verify(r.URL)
	if !ok {
		problem.Write(w, problem.New(problem.Forbidden, detailAltered))
		return
	}
	if g.method == http.MethodPut {
		// Before the clock is read: a sweep at any later time sees it.
		defer h.begin(g.job)()
	}
	if err := h.permit(r, g); err != nil {
		h.refuse(w, r, g, err)
		return
	}
	if g.method == http.MethodPut {
		h.put(w, r, g)
		return
	}
	h.get(w, r, g)
}

// wrongMethod says what a URL is good for.
func wrongMethod(g grant) string {
	if g.method == http.MethodPut {
		return "This URL is good for PUT only: it takes the prompts file."
	}
	return "This URL is good for GET and HEAD only: it hands out one file."
}

// permit checks what a good signature leaves open.
func (h *Handler) permit(r *http.Request, g grant) error {
	if h.Now().Unix() >= g.expires {
		return problem.New(problem.Forbidden, expired(g))
	}
	if r.Method != g.method && (r.Method != http.MethodHead || g.method != http.MethodGet) {
		return problem.New(problem.Forbidden, wrongMethod(g))
	}
	has, err := h.Store.HasKey(r.Context(), g.client)
	if err != nil {
		return problem.FromStore(err)
	}
	if !has {
		return keyless()
	}
	return h.Quotas.Request(r.Context(), g.client)
}

func expired(g grant) string {
	if g.method == http.MethodPut {
		return "This upload URL has expired; POST /v1/jobs/" + string(g.job) + "/upload-url gives a fresh one while the job awaits its upload."
	}
	return "This download URL has expired; GET /v1/jobs/" + string(g.job) + "/results gives fresh ones."
}

// refuse writes a problem and logs its cause, with nothing of the URL.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, g grant, err error) {
	if p := problem.From(err); p.Cause != nil {
		level := slog.LevelInfo
		if p.Kind == problem.Internal || p.Kind == problem.Unavailable {
			level = slog.LevelError
		}
		h.Log.Log(r.Context(), level, "a transfer failed", "method", r.Method, "job", g.job, "client", g.client, "problem", p.Kind.Reason(), "error", p.Cause)
	}
	problem.Write(w, err)
}
