package apiref_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/server/apiref"
)

// TestHandler: the document and the page's own files are there, and what they
// may load is from here.
func TestHandler(t *testing.T) {
	h := apiref.Handler()
	for path, want := range map[string]struct {
		status int
		kind   string
		has    string
	}{
		"/openapi.yaml":              {200, "application/yaml", "openapi: 3.0.3"},
		"/docs":                      {308, "", ""},
		"/docs/":                     {200, "text/html", `src="init.js"`},
		"/docs/init.js":              {200, "text/javascript", "validatorUrl: null"},
		"/docs/swagger-ui-bundle.js": {200, "javascript", "SwaggerUIBundle"},
		"/docs/swagger-ui.css":       {200, "text/css", ".swagger-ui"},
		"/docs/nothing":              {404, "", ""},
		"/docs/../apiref.go":         {307, "", ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		if w.Code != want.status || !strings.Contains(w.Header().Get("Content-Type"), want.kind) || !strings.Contains(w.Body.String(), want.has) {
			t.Errorf("%s: %d, %s, %.80q", path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
			t.Errorf("%s: its policy is %q", path, policy)
		}
	}
}
