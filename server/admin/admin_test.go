package admin_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/server/keys"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt/bolttest"
)

// shortDir is a data folder whose socket has a path that fits.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serve runs an admin server on a data folder until the test ends.
func serve(t *testing.T, dir string, store storage.Keys) *admin.Server {
	t.Helper()
	l, err := admin.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := admin.NewServer(store, nil)
	srv := &http.Server{Handler: s}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(dir, admin.SocketName)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return s
}

func dial(t *testing.T, dir string) *admin.Client {
	t.Helper()
	c, err := admin.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Both ways of an operator's command come to the same: over the socket, and on
// the store.
func TestKeys(t *testing.T) {
	for name, open := range map[string]func(t *testing.T, store storage.Keys) admin.Keys{
		"over the socket": func(t *testing.T, store storage.Keys) admin.Keys {
			dir := shortDir(t)
			serve(t, dir, store)
			return dial(t, dir)
		},
		"on the store": func(_ *testing.T, store storage.Keys) admin.Keys { return admin.Local{Store: store} },
	} {
		t.Run(name, func(t *testing.T) {
			store := bolttest.Open(t)
			ctx, verbs := t.Context(), open(t, store)
			if list, err := verbs.ListKeys(ctx); err != nil || len(list) != 0 {
				t.Fatalf("at first there are %v, %v", list, err)
			}
			plain, key, err := verbs.CreateKey(ctx, "acme")
			if err != nil {
				t.Fatal(err)
			}
			if client, id, err := keys.Authenticate(ctx, store, plain); client != "acme" || id != key.ID || err != nil {
				t.Fatalf("the key is %q's, %q: %v", client, id, err)
			}
			if _, _, err = verbs.CreateKey(ctx, "a b"); kindOf(err) != problem.BadRequest {
				t.Errorf("a bad client name: %v", err)
			}
			if err := verbs.RevokeKey(ctx, "no/such key"); kindOf(err) != problem.NotFound || !strings.Contains(err.Error(), "no key with this id") {
				t.Errorf("revoking what is not there: %v", err)
			}
			for range 2 {
				if err := verbs.RevokeKey(ctx, key.ID); err != nil {
					t.Fatal(err)
				}
			}
			list, err := verbs.ListKeys(ctx)
			if err != nil || len(list) != 1 {
				t.Fatalf("listed %v, %v", list, err)
			}
			got := list[0]
			if got.ID != key.ID || got.Client != "acme" || !got.Revoked() || !got.CreatedAt.Equal(key.CreatedAt) || got.SHA256 != [32]byte{} {
				t.Errorf("listed %+v, created %+v", got, key)
			}
			if _, _, err := keys.Authenticate(ctx, store, plain); kindOf(err) != problem.Unauthenticated {
				t.Errorf("a revoked key: %v", err)
			}
		})
	}
}

func kindOf(err error) problem.Kind {
	var p *problem.Problem
	if errors.As(err, &p) {
		return p.Kind
	}
	return -1
}

func TestNobodyListens(t *testing.T) {
	dir := shortDir(t)
	if _, err := admin.Dial(dir); !errors.Is(err, admin.ErrNobodyListens) {
		t.Errorf("no socket: %v", err)
	}
	leaveSocket(t, dir)
	if _, err := admin.Dial(dir); !errors.Is(err, admin.ErrNobodyListens) {
		t.Errorf("a dead server's socket: %v", err)
	}
	if _, err := admin.Dial(filepath.Join(dir, "nowhere")); !errors.Is(err, admin.ErrNobodyListens) {
		t.Errorf("no folder: %v", err)
	}
}

// leaveSocket leaves the socket of a server that was killed.
func leaveSocket(t *testing.T, dir string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, admin.SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestSocketOfADeadServerIsReplaced(t *testing.T) {
	dir := shortDir(t)
	leaveSocket(t, dir)
	serve(t, dir, bolttest.Open(t))
	if _, err := dial(t, dir).ListKeys(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSocketOfALiveServerIsNot(t *testing.T) {
	dir := shortDir(t)
	serve(t, dir, bolttest.Open(t))
	if l, err := admin.Listen(dir); err == nil {
		l.Close()
		t.Fatal("two servers listen")
	} else if !strings.Contains(err.Error(), dir) {
		t.Errorf("the error names no folder: %v", err)
	}
	if _, err := dial(t, dir).ListKeys(t.Context()); err != nil {
		t.Errorf("the first one was disturbed: %v", err)
	}
}

func TestFileInTheWay(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, admin.SocketName)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Listen(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Listen: %v", err)
	}
	if _, err := admin.Dial(dir); err == nil || errors.Is(err, admin.ErrNobodyListens) {
		t.Errorf("Dial: %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

func TestSocketIsTheOwnersAlone(t *testing.T) {
	dir := shortDir(t)
	serve(t, dir, bolttest.Open(t))
	info, err := os.Lstat(filepath.Join(dir, admin.SocketName))
	if err != nil || info.Mode().Type() != fs.ModeSocket || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the folder: %v, %v", entries, err)
	}
}

// A unix address takes some 100 bytes; a data folder may be deeper.
func TestLongPath(t *testing.T) {
	store, tmp, dir := bolttest.Open(t), shortDir(t), filepath.Join(shortDir(t), strings.Repeat("long/", 40))
	t.Setenv("TMPDIR", tmp)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	serve(t, dir, store)
	if _, _, err := dial(t, dir).CreateKey(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
	if l, err := admin.Listen(dir); err == nil {
		l.Close()
		t.Error("two servers listen")
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

func TestLongPathRelative(t *testing.T) {
	t.Chdir(shortDir(t))
	dir := strings.Repeat("long/", 40)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	serve(t, dir, bolttest.Open(t))
	if _, err := dial(t, dir).ListKeys(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLongPathWithoutAShortcut(t *testing.T) {
	dir := filepath.Join(shortDir(t), strings.Repeat("long/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	if _, err := admin.Listen(dir); err == nil || !strings.Contains(err.Error(), "too long") || !strings.Contains(err.Error(), dir) {
		t.Errorf("the error is %v", err)
	}
	t.Setenv("TMPDIR", filepath.Join(dir, "nowhere"))
	if _, err := admin.Listen(dir); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("the error is %v", err)
	}
}

func TestUnknownVerb(t *testing.T) {
	dir := shortDir(t)
	serve(t, dir, bolttest.Open(t))
	err := dial(t, dir).Call(t.Context(), http.MethodPost, "/fly", nil, nil)
	if kindOf(err) != problem.NotFound || !strings.Contains(err.Error(), "different versions") {
		t.Errorf("the error is %v", err)
	}
}

func TestStrictBody(t *testing.T) {
	s := admin.NewServer(bolttest.Open(t), nil)
	for _, body := range []string{"", "[]", `{"client":5}`, `{"client":"a","x":1}`, `{"client":"a"}{}`} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/keys", strings.NewReader(body)))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	}
}

func TestLaterVerbs(t *testing.T) {
	dir := shortDir(t)
	s := serve(t, dir, bolttest.Open(t))
	s.Handle("POST /echo", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Error(err)
		}
	}))
	var out map[string]string
	if err := dial(t, dir).Call(t.Context(), http.MethodPost, "/echo", map[string]string{"a": "b"}, &out); err != nil || out["a"] != "b" {
		t.Errorf("%v, %v", out, err)
	}
}

// What listens on a TCP address shows, and lets nobody make a key.
func TestObserverHasNoVerbs(t *testing.T) {
	store := bolttest.Open(t)
	s := admin.NewServer(store, nil)
	s.Observe("GET /metrics", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for target, want := range map[string]int{
		"POST /keys":             http.StatusNotFound,
		"GET /keys":              http.StatusNotFound,
		"POST /keys/x/revoke":    http.StatusNotFound,
		"GET /metrics":           http.StatusNoContent,
		"GET /debug/pprof/":      http.StatusOK,
		"GET /debug/pprof/heap":  http.StatusOK,
		"GET /debug/pprof/../..": http.StatusTemporaryRedirect,
	} {
		method, path, _ := strings.Cut(target, " ")
		w := httptest.NewRecorder()
		s.Observer().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(`{"client":"acme"}`)))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
	}
	if list, err := store.ListKeys(context.Background()); len(list) != 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
}

func TestStoreAway(t *testing.T) {
	dir := shortDir(t)
	serve(t, dir, &broken{})
	verbs := dial(t, dir)
	_, _, err := verbs.CreateKey(t.Context(), "acme")
	for _, err := range []error{err, verbs.RevokeKey(t.Context(), "x"), second(verbs.ListKeys(t.Context()))} {
		if kindOf(err) != problem.Unavailable || strings.Contains(err.Error(), "fire") {
			t.Errorf("the error is %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
