package client

import (
	"context"
	"errors"
)

const apiKeyMetadata = "x-api-key"

// keyCredentials put the API key into each call.
type keyCredentials struct {
	key   string
	plain bool // whether it may travel without TLS
}

// GetRequestMetadata is the key, as metadata of a call.
func (k keyCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{apiKeyMetadata: k.key}, nil
}

// RequireTransportSecurity makes gRPC refuse to send the key in plain text,
// whatever the connection turns out to be.
func (k keyCredentials) RequireTransportSecurity() bool { return !k.plain }

// checkAPIKey finds what no key has and metadata cannot carry. It never tells
// the key.
func checkAPIKey(key string) error {
	if key == "" {
		return errors.New("the API key is empty")
	}
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return errors.New("the API key has a space, a line break or a character that no key has; was more than the key copied?")
		}
	}
	return nil
}
