// Package apicheck holds the service's REST answers against its OpenAPI
// document, in tests.
package apicheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/promptforge/promptforge/gen/openapi"
)

// Transport sends requests by next and fails the test at each answer that the
// document does not describe: its status, its media type, and its body, unless
// that is a file or a stream. What is asked for outside of the document, to see
// it refused, must be refused with the document's Error.
func Transport(t testing.TB, next http.RoundTripper) http.RoundTripper {
	t.Helper()
	described, err := description()
	if err != nil {
		t.Fatal(err)
	}
	return &checker{t: t, next: next, described: described}
}

type described struct {
	router  routers.Router
	failure *openapi3.Schema
}

// description reads the document once, since that takes a while.
var description = sync.OnceValues(func() (*described, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	doc.Servers = nil // the tests' servers are anywhere
	router, err := legacy.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("make routes of the OpenAPI document: %w", err)
	}
	return &described{router, doc.Components.Schemas["Error"].Value}, nil
})

type checker struct {
	t         testing.TB
	next      http.RoundTripper
	described *described
}

func (c *checker) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if err := c.check(req, resp); err != nil {
		c.t.Errorf("OpenAPI: %s %s: %d: %v", req.Method, req.URL.Path, resp.StatusCode, err)
	}
	return resp, nil
}

func (c *checker) check(req *http.Request, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		// A path that is nobody's may look like somebody's: /v1/jobs/init is no job.
		return c.refused(req, resp)
	case http.StatusRequestHeaderFieldsTooLarge:
		return nil // by net/http, before any handler ran
	}
	asked := req.Clone(context.Background())
	if asked.Method == http.MethodHead {
		asked.Method = http.MethodGet
	}
	route, params, err := c.described.router.FindRoute(asked)
	if err != nil {
		var unknown *routers.RouteError
		if errors.As(err, &unknown) {
			return c.refused(req, resp)
		}
		return err
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route},
		Status:                 resp.StatusCode,
		Header:                 resp.Header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if kind != "application/json" || req.Method == http.MethodHead {
		return documented(route, resp.StatusCode, kind, req.Method == http.MethodHead)
	}
	body, err := whole(resp)
	if err != nil {
		return err
	}
	input.SetBodyBytes(body)
	return openapi3filter.ValidateResponse(context.Background(), input)
}

// documented tells whether a route may answer with a status and a media type.
func documented(route *routers.Route, status int, kind string, head bool) error {
	ref := route.Operation.Responses.Status(status)
	if ref == nil {
		return errors.New("the document has no such answer")
	}
	content := ref.Value.Content
	if len(content) == 0 && (kind == "" || status == http.StatusNotModified) || content[kind] != nil {
		return nil
	}
	if head && kind == "" {
		return nil
	}
	return fmt.Errorf("the document has no such answer in %q", kind)
}

// refused wants an Error for what the document does not know.
func (c *checker) refused(req *http.Request, resp *http.Response) error {
	if resp.StatusCode < 400 {
		if p := req.URL.Path; p == "/openapi.yaml" || strings.HasPrefix(p, "/docs") {
			return nil
		}
		return errors.New("the document does not know this route, and it was answered")
	}
	if req.Method == http.MethodHead {
		return nil
	}
	body, err := whole(resp)
	if err != nil {
		return err
	}
	if kind := resp.Header.Get("Content-Type"); kind != "application/json" {
		return fmt.Errorf("an error in %q", kind)
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Errorf("%w: %.200q", err, body)
	}
	return c.described.failure.VisitJSON(value)
}

// whole reads an answer and leaves it to be read again.
func whole(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}
