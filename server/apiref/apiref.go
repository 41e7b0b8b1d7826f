// Package apiref is the API reference for a person: the OpenAPI document, and a
// page that shows it and tries calls out. Everything is in the binary; the page
// asks nobody else for anything.
package apiref

import (
	"embed"
	"net/http"

	"github.com/swaggest/swgui/v5/static"
	"github.com/vearutop/statigz"

	"github.com/promptforge/promptforge/gen/openapi"
)

// The paths that Handler serves.
const (
	DocumentPath = "/openapi.yaml"
	PagePath     = "/docs"
)

//go:embed index.html init.js
var page embed.FS

// policy lets the page load what this server serves, and nothing else. Swagger
// UI styles its elements in place.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// Handler serves DocumentPath, and PagePath with everything below it. It takes
// GET and HEAD only, which its caller sees to.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(DocumentPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(openapi.YAML) // a reader that is gone needs no answer
	})
	mux.Handle(PagePath, http.RedirectHandler("docs/", http.StatusPermanentRedirect))
	own := http.StripPrefix(PagePath, http.FileServerFS(page))
	mux.Handle(PagePath+"/{$}", own)
	mux.Handle(PagePath+"/init.js", own)
	mux.Handle(PagePath+"/", http.StripPrefix(PagePath, statigz.FileServer(static.FS)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		mux.ServeHTTP(w, r)
	})
}
