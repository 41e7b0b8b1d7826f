package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

const (
	pageTokenSecret = "page-token"
	pageTokenMAC    = 12 // bytes of the MAC that a token carries
)

// pageTokens makes and reads page tokens: a position, and a MAC over it and
// everything that it is a position in, so that a token of another list, another
// filter or another service is told apart.
type pageTokens struct{ store storage.Store }

// seal makes the token of position n. scope names the list and its filter.
func (p pageTokens) seal(ctx context.Context, n uint64, scope ...string) (string, error) {
	secret, err := p.store.Secret(ctx, pageTokenSecret)
	if err != nil {
		return "", problem.FromStore(err)
	}
	at := binary.BigEndian.AppendUint64(nil, n)
	return base64.RawURLEncoding.EncodeToString(append(at, pageMAC(secret, at, scope)...)), nil
}

// open reads a token that seal made with the same scope; the empty token is
// position 0.
func (p pageTokens) open(ctx context.Context, token string, scope ...string) (uint64, error) {
	if token == "" {
		return 0, nil
	}
	secret, err := p.store.Secret(ctx, pageTokenSecret)
	if err != nil {
		return 0, problem.FromStore(err)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	// The decoder passes over line breaks: the length keeps one spelling.
	if err != nil || len(token) != base64.RawURLEncoding.EncodedLen(8+pageTokenMAC) || len(raw) != 8+pageTokenMAC || !hmac.Equal(raw[8:], pageMAC(secret, raw[:8], scope)) {
		return 0, badRequest("The page_token is not the next_page_token of an answer to this same request; leave it out to begin at the first page.")
	}
	return binary.BigEndian.Uint64(raw), nil
}

func pageMAC(secret, at []byte, scope []string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(at)
	mac.Write([]byte(strings.Join(scope, "\x00")))
	return mac.Sum(nil)[:pageTokenMAC]
}
