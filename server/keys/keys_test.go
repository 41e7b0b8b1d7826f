package keys_test

import (
	"crypto/sha256"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/server/keys"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt/bolttest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func issue(t *testing.T, store storage.Keys, client string) (string, storage.Key) {
	t.Helper()
	plain, key, err := keys.Issue(t.Context(), store, client, start)
	if err != nil {
		t.Fatal(err)
	}
	return plain, key
}

// refused wants a problem of the kind and returns its sentence.
func refused(t *testing.T, err error, kind problem.Kind) string {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Kind != kind {
		t.Fatalf("got %v, want a problem of kind %s", err, kind.Reason())
	}
	return p.Detail
}

func TestIssuedKeyIsRecognised(t *testing.T) {
	store := bolttest.Open(t)
	plain, key := issue(t, store, "acme")
	if !regexp.MustCompile(`^pf_[a-z2-7]{12}_[0-9A-Za-z]{49}$`).MatchString(plain) {
		t.Errorf("the key does not have its shape: %d characters", len(plain))
	}
	if !strings.HasPrefix(plain, "pf_"+key.ID+"_") {
		t.Error("the key does not name its id")
	}
	kept, err := store.Key(t.Context(), key.ID)
	if err != nil || kept.SHA256 != sha256.Sum256([]byte(plain)) || kept.Client != "acme" || !kept.CreatedAt.Equal(start) {
		t.Errorf("kept %+v, %v", kept, err)
	}
	client, id, err := keys.Authenticate(t.Context(), store, plain)
	if client != "acme" || id != key.ID || err != nil {
		t.Errorf("recognised as %q, %q, %v", client, id, err)
	}
}

func TestKeysDiffer(t *testing.T) {
	store, seen := bolttest.Open(t), map[string]bool{}
	for range 100 {
		plain, _ := issue(t, store, "acme")
		if seen[plain] {
			t.Fatal("the same key twice")
		}
		seen[plain] = true
	}
}

func TestClientNames(t *testing.T) {
	for _, good := range []string{"a", "acme", "Acme-2_x.y", strings.Repeat("x", 64)} {
		if err := keys.CheckClient(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "a b", "a/b", "é", "a\n", "a&b", strings.Repeat("x", 65)} {
		_, _, err := keys.Issue(t.Context(), bolttest.Open(t), bad, start)
		refused(t, err, problem.BadRequest)
	}
}

func TestTakenIDIsTriedAgain(t *testing.T) {
	issue(t, &faulty{Keys: bolttest.Open(t), taken: 2}, "acme")
	_, _, err := keys.Issue(t.Context(), &faulty{Keys: bolttest.Open(t), taken: 9}, "acme", start)
	refused(t, err, problem.Unavailable)
}

func TestMissingKeyIsToldWhatToSend(t *testing.T) {
	_, _, err := keys.Authenticate(t.Context(), bolttest.Open(t), "")
	if got := refused(t, err, problem.Unauthenticated); got != "Send your API key in the X-API-Key header." {
		t.Error(got)
	}
}

func TestRefusalsCannotBeToldApart(t *testing.T) {
	store := bolttest.Open(t)
	revoked, key := issue(t, store, "acme")
	if err := store.RevokeKey(t.Context(), key.ID, start); err != nil {
		t.Fatal(err)
	}
	unknown, _ := issue(t, bolttest.Open(t), "acme")
	// A key with the id of a good one, and another secret.
	mine, good := issue(t, store, "acme")
	forged := bolttest.Open(t)
	other, _ := issue(t, forged, "acme")
	if err := forged.CreateKey(t.Context(), storage.Key{ID: good.ID, Client: "acme", SHA256: sha256.Sum256([]byte(other))}); err != nil {
		t.Fatal(err)
	}
	sentences := map[string]bool{}
	for name, c := range map[string]struct {
		store storage.Keys
		plain string
	}{
		"malformed": {store, "nonsense"},
		"long":      {store, strings.Repeat("pf_", 10_000)},
		"unknown":   {store, unknown},
		"revoked":   {store, revoked},
		"forged":    {forged, mine},
	} {
		client, id, err := keys.Authenticate(t.Context(), c.store, c.plain)
		if client != "" || id != "" {
			t.Errorf("%s: a name comes with the refusal", name)
		}
		sentences[refused(t, err, problem.Unauthenticated)] = true
	}
	if len(sentences) != 1 {
		t.Errorf("%d different sentences: %v", len(sentences), sentences)
	}
}

// A mistyped key must not cost a look-up: the store here answers none.
func TestMistypedKeyIsRefusedWithoutTheStore(t *testing.T) {
	store := &faulty{Keys: bolttest.Open(t)}
	plain, _ := issue(t, store, "acme")
	store.fail = errors.New("the store must not be asked")
	for i := range len(plain) {
		for bit := range 8 {
			b := []byte(plain)
			b[i] ^= 1 << bit
			_, _, err := keys.Authenticate(t.Context(), store, string(b))
			refused(t, err, problem.Unauthenticated)
		}
	}
}

func TestStoreAway(t *testing.T) {
	store := &faulty{Keys: bolttest.Open(t)}
	plain, _ := issue(t, store, "acme")
	store.fail = errors.New("disk on fire")
	_, _, err := keys.Authenticate(t.Context(), store, plain)
	if got := refused(t, err, problem.Unavailable); strings.Contains(got, "fire") || !errors.Is(err, store.fail) {
		t.Errorf("the cause belongs into the log alone: %q", got)
	}
	_, _, err = keys.Issue(t.Context(), store, "acme", start)
	refused(t, err, problem.Unavailable)
}
