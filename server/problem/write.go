package problem

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Write answers an HTTP request with the problem: {"detail":"…"}.
func Write(w http.ResponseWriter, err error) {
	p := From(err)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if p.Allow != "" {
		h.Set("Allow", p.Allow)
	}
	if p.Kind.row().retry {
		h.Set("Retry-After", strconv.Itoa(int(p.retryAfter()/time.Second)))
	}
	body, _ := jsontext.AppendQuote([]byte(`{"detail":`), p.Detail)
	body = append(body, '}')
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Kind.HTTPStatus())
	if _, err := w.Write(body); err != nil {
		slog.Debug("an error's body was not read to its end", "error", err)
	}
}
