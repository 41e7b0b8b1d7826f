package transfer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
)

func (e *env) revoke() {
	e.Helper()
	if err := e.store.RevokeKey(e.Context(), "key-1", e.now()); err != nil {
		e.Fatal(err)
	}
	e.advance(keyInterval)
}

// TestUploadEndsWithTheLastKey: also one that runs already.
func TestUploadEndsWithTheLastKey(t *testing.T) {
	e := newEnv(t)
	id, url := e.newJob()
	conn, r := e.raw(url, "Content-Length: 1000\r\nExpect: 100-continue")
	e.read(r)
	e.revoke()
	e.send(conn, prompts)
	e.want(e.read(r), http.StatusForbidden, "no API key any more")
	e.awaits(id)
	e.want(e.put(url, prompts), http.StatusForbidden, "no API key any more")
}

// TestDownloadEndsWithTheLastKey: one that runs is broken off, so that it does
// not look whole.
func TestDownloadEndsWithTheLastKey(t *testing.T) {
	e := newEnv(t)
	content := strings.Repeat("x", 1<<20)
	half := make(chan struct{})
	g := grant{method: http.MethodGet, client: client, job: job.NewID(), file: "errors.jsonl"}
	f := file{size: int64(len(content)), etag: tag, copy: func(_ context.Context, w io.Writer, _, _ int64) error {
		if _, err := io.WriteString(w, content[:len(content)/2]); err != nil {
			return err
		}
		<-half
		_, err := io.WriteString(w, content[len(content)/2:])
		return err
	}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.handler.serve(w, r, g, f) }))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	e.revoke()
	close(half)
	body, err := io.ReadAll(resp.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(body) > len(content)/2 {
		t.Errorf("%d bytes came, and then %v", len(body), err)
	}
}

// TestStoreAwayDuringATransfer: who cannot be asked has refused nothing.
func TestStoreAwayDuringATransfer(t *testing.T) {
	a := &away{}
	e := newEnv(t, func(c *Config) { a.Store = c.Store; c.Store = a })
	permitted := e.handler.keyed(t.Context(), client)
	a.hasKey = errors.New("away")
	e.advance(time.Minute)
	if err := permitted(); err != nil {
		t.Error(err)
	}
	a.hasKey = nil
	if err := e.store.RevokeKey(t.Context(), "key-1", e.now()); err != nil {
		t.Fatal(err)
	}
	if err := permitted(); err != nil {
		t.Errorf("asked again within a second: %v", err)
	}
	e.advance(keyInterval)
	if permitted() == nil {
		t.Error("without a key it goes on")
	}
}
