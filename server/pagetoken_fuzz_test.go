package server

import (
	"bytes"
	"context"
	"testing"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// oneSecret is a store that knows one secret and nothing else.
type oneSecret struct{ storage.Store }

func (oneSecret) Secret(context.Context, string) ([]byte, error) {
	return bytes.Repeat([]byte{7}, 32), nil
}

// FuzzPageToken: a token is read as the position that it was made of, in its own
// list alone, and of all other texts none is a token.
func FuzzPageToken(f *testing.F) {
	tokens := pageTokens{oneSecret{}}
	good, err := tokens.seal(f.Context(), 7, "jobs", "acme")
	if err != nil {
		f.Fatal(err)
	}
	for _, token := range []string{good, good[:len(good)-1], good + "=", good + "\n", "AAAA", "-_", "", "%"} {
		f.Add(token, uint64(7), "acme")
	}
	f.Fuzz(func(t *testing.T, token string, n uint64, client string) {
		ctx := t.Context()
		at, err := tokens.open(ctx, token, "jobs", client)
		switch {
		case err != nil:
			if problem.From(err).Kind != problem.BadRequest {
				t.Fatalf("%q: %v", token, err)
			}
		case token == "":
			if at != 0 {
				t.Fatalf("no token is position %d", at)
			}
		default:
			if again, err := tokens.seal(ctx, at, "jobs", client); err != nil || again != token {
				t.Fatalf("%q is position %d of %q, whose token is %q", token, at, client, again)
			}
		}
		made, err := tokens.seal(ctx, n, "jobs", client)
		if err != nil {
			t.Fatal(err)
		}
		if at, err := tokens.open(ctx, made, "jobs", client); err != nil || at != n {
			t.Fatalf("the token of %d is %d, %v", n, at, err)
		}
		for _, scope := range [][]string{{"jobs", client + "x"}, {"results", client}, {"jobs", client, ""}, {"jobs"}} {
			if at, err := tokens.open(ctx, made, scope...); err == nil {
				t.Fatalf("the token of another list is %d in %q", at, scope)
			}
		}
	})
}
