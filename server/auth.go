package server

import (
	"context"
	"net/http"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/promptforge/promptforge/server/keys"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

const (
	apiKeyHeader   = "X-Api-Key" // as net/http spells X-API-Key
	apiKeyMetadata = "x-api-key"

	// detailMetadata is what HTTP's callers are told of a missing key, in
	// gRPC's words.
	detailMetadata = "Send your API key in the metadata, under x-api-key."
)

// authenticateCall tells whose key came with a gRPC call. Of a call of the
// gateway it is known already.
func authenticateCall(store storage.Keys, failures *failures) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if client, known := knownClient(ctx); known {
			return client, nil
		}
		given := metadata.ValueFromIncomingContext(ctx, apiKeyMetadata)
		client, err := authenticate(ctx, store, given)
		if err != nil && strings.Join(given, "") == "" {
			err = problem.New(problem.Unauthenticated, detailMetadata)
		}
		return client, failures.count(peerAddress(ctx), err)
	}
}

// authenticateRequest tells whose key came with an HTTP request. It comes
// before routing and parsing, so that without a key nothing is learned.
func authenticateRequest(store storage.Keys, failures *failures, r *http.Request) (string, error) {
	client, err := authenticate(r.Context(), store, r.Header.Values(apiKeyHeader))
	return client, failures.count(addressOf(r.RemoteAddr), err)
}

func authenticate(ctx context.Context, store storage.Keys, given []string) (string, error) {
	if len(given) > 1 {
		return "", problem.New(problem.Unauthenticated, "Send one API key, not several.")
	}
	plain := ""
	if len(given) == 1 {
		plain = given[0]
	}
	client, _, err := keys.Authenticate(ctx, store, plain)
	return client, err
}
