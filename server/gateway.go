package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/server/pjson"
	"github.com/promptforge/promptforge/server/problem"
)

// grpc-gateway keeps the query parser in a variable of its package, which is
// written here once, since two servers may start at the same time.
func init() {
	runtime.NewServeMux(runtime.SetQueryParameterParser(pjson.QueryParser{}))
}

// newGateway is the REST face.
func newGateway(conn grpc.ClientConnInterface, events *events) (http.Handler, error) {
	drop := func(string) (string, bool) { return "", false }
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, pjson.Marshaler{}),
		runtime.WithForwardResponseOption(accepted),
		runtime.WithErrorHandler(gatewayError),
		runtime.WithRoutingErrorHandler(routingError),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		// Otherwise gRPC's own headers show as Grpc-Metadata-….
		runtime.WithOutgoingHeaderMatcher(drop),
		runtime.WithOutgoingTrailerMatcher(drop),
		// Otherwise a form that is POSTed becomes a GET.
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
	)
	if err := promptforgev1.RegisterJobServiceHandlerClient(context.Background(), mux, promptforgev1.NewJobServiceClient(conn)); err != nil {
		return nil, fmt.Errorf("register the REST routes: %w", err)
	}
	if err := mux.HandlePath(http.MethodGet, eventsPattern, events.serve); err != nil {
		return nil, fmt.Errorf("register the route of events: %w", err)
	}
	return mux, nil
}

// incomingHeader names the only headers that a call takes along.
func incomingHeader(name string) (string, bool) {
	switch name {
	case apiKeyHeader:
		return apiKeyMetadata, true
	case idempotencyHeader:
		return idempotencyMetadata, true
	default:
		return "", false
	}
}

// accepted makes the answer of init a 202.
func accepted(_ context.Context, w http.ResponseWriter, m proto.Message) error {
	noStore(w)
	if _, ok := m.(*promptforgev1.InitJobResponse); ok {
		w.WriteHeader(http.StatusAccepted)
	}
	return nil
}

// noStore keeps an answer, which is one client's, out of caches.
func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// gatewayError answers what a call, or the gateway before it, went wrong by.
func gatewayError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	problem.Write(w, err)
}

// routingError answers for a path or a method that the gateway does not have.
func routingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, status int) {
	switch status {
	case http.StatusMethodNotAllowed:
		problem.Write(w, methodNotAllowed(r.Method, allowed(r.URL.Path, r.Method)))
	case http.StatusBadRequest:
		problem.Write(w, badRequest("The path of this request cannot be read; check its percent-encoding."))
	default:
		problem.Write(w, noSuchRoute())
	}
}

func noSuchRoute() error {
	return problem.New(problem.NotFound, "There is no such route.")
}

func methodNotAllowed(method, allow string) error {
	p := problem.New(problem.MethodNotAllowed, "The method "+shortMethod(method)+" is not allowed here; allowed: "+allow+".")
	p.Allow = allow
	return p
}

// shortMethod keeps a nonsense method from filling the sentence.
func shortMethod(method string) string {
	if len(method) > 16 {
		return method[:16] + "…"
	}
	return method
}
