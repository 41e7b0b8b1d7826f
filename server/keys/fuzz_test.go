package keys

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// oneKey is a store whose every id is that of one key.
type oneKey struct {
	storage.Keys
	key storage.Key
}

func (o *oneKey) Key(context.Context, string) (storage.Key, error) { return o.key, nil }

// FuzzAPIKey: no text makes the parser panic; what it takes has the shape and
// the checksum of a key, and is refused with any byte changed; and even where
// the store knows every id, nothing but the key itself is let in.
func FuzzAPIKey(f *testing.F) {
	body := prefix + "abcdefghijkl_" + strings.Repeat("0", secretLen)
	good := body + checksum(body)
	store := &oneKey{key: storage.Key{ID: "abcdefghijkl", Client: "acme", SHA256: sha256.Sum256([]byte(good)), CreatedAt: time.Unix(1, 0)}}
	for _, plain := range []string{good, body, "", "pf_", good + "x", strings.Repeat("a", keyLen), strings.ToUpper(good), "pf_" + strings.Repeat("_", keyLen-3)} {
		f.Add(plain, 20, byte(1))
	}
	f.Fuzz(func(t *testing.T, plain string, at int, turn byte) {
		check := func(plain string) (ok bool) {
			client, id, err := Authenticate(t.Context(), store, plain)
			if (err == nil) != (plain == good) || (client == "acme") != (err == nil) || (id != "") != (err == nil) {
				t.Fatalf("%q is let in as %q %q, %v", plain, client, id, err)
			}
			if p := problem.From(err); err != nil && (p.Kind != problem.Unauthenticated || plain != "" && p.Detail != detailRefused) {
				t.Fatalf("%q: %v", plain, err)
			}
			id, ok = parse(plain)
			if ok && (len(plain) != keyLen || plain != prefix+id+"_"+plain[len(prefix)+idLen+1:] || !strings.HasSuffix(plain, checksum(plain[:keyLen-checksumLen]))) {
				t.Fatalf("%q is taken for a key", plain)
			}
			return ok
		}
		check(plain)
		if len(plain) < keyLen-checksumLen {
			return
		}
		// The same text with all that a key needs.
		b := []byte(plain[:keyLen-checksumLen])
		copy(b, prefix)
		b[len(prefix)+idLen] = '_'
		b = append(b, checksum(string(b))...)
		if !check(string(b)) {
			t.Fatalf("%q is not taken for a key", b)
		}
		if turn != 0 {
			b[uint(at)%uint(len(b))] ^= turn //nolint:gosec // any place will do
			if check(string(b)) {
				t.Fatalf("%q is taken for a key, though a byte was changed", b)
			}
		}
	})
}
