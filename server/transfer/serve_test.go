package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

const tag = `"tag-1"`

// fileServer serves one file as a download, whatever the URL.
func fileServer(t *testing.T, f file) string {
	t.Helper()
	h := NewHandler(Config{Store: keyHolder{}, Log: slog.New(slog.DiscardHandler)})
	g := grant{method: http.MethodGet, client: "acme", job: job.NewID(), file: "results_part_001.jsonl"}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, g, f) }))
	t.Cleanup(srv.Close)
	return srv.URL
}

// keyHolder is a store in which every client has a key.
type keyHolder struct{ storage.Store }

func (keyHolder) HasKey(context.Context, string) (bool, error) { return true, nil }

func fileOf(content string) file {
	return file{size: int64(len(content)), etag: tag, copy: func(_ context.Context, w io.Writer, offset, length int64) error {
		_, err := io.WriteString(w, content[offset:offset+length])
		return err
	}}
}

func request(t *testing.T, method, url string, header http.Header) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestRanges(t *testing.T) {
	const content = "0123456789"
	url, empty := fileServer(t, fileOf(content)), fileServer(t, fileOf(""))
	huge := strings.Repeat("9", 40)
	for _, c := range []struct {
		url, field string
		status     int
		body       string
		rng        string
	}{
		{url, "", 200, content, ""},
		{url, "bytes=0-", 206, content, "bytes 0-9/10"},
		{url, "bytes=0-0", 206, "0", "bytes 0-0/10"},
		{url, "bytes=2-4", 206, "234", "bytes 2-4/10"},
		{url, "bytes=9-9", 206, "9", "bytes 9-9/10"},
		{url, "bytes=7-100", 206, "789", "bytes 7-9/10"},
		{url, "bytes=7-" + huge, 206, "789", "bytes 7-9/10"},
		{url, "bytes=-3", 206, "789", "bytes 7-9/10"},
		{url, "bytes=-10", 206, content, "bytes 0-9/10"},
		{url, "bytes=-99", 206, content, "bytes 0-9/10"},
		{url, "bytes=-" + huge, 206, content, "bytes 0-9/10"},
		{url, "bytes=-0", 416, "", "bytes */10"},
		{url, "bytes=10-", 416, "", "bytes */10"},
		{url, "bytes=10-20", 416, "", "bytes */10"},
		{url, "bytes=" + huge + "-", 416, "", "bytes */10"},
		{url, "bytes=" + huge + "-" + huge + "0", 416, "", "bytes */10"},
		{url, "bytes=0-1,3-4", 200, content, ""}, // several ranges: the whole
		{url, "bytes=4-2", 200, content, ""},     // no range at all: passed over
		{url, "bytes=" + huge + "-2", 200, content, ""},
		{url, "bytes=-", 200, content, ""},
		{url, "bytes=", 200, content, ""},
		{url, "bytes=a-b", 200, content, ""},
		{url, "bytes=+1-2", 200, content, ""},
		{url, "bytes=--2", 200, content, ""},
		{url, "lines=1-2", 200, content, ""},
		{empty, "", 200, "", ""},
		{empty, "bytes=0-", 200, "", ""},
		{empty, "bytes=-5", 200, "", ""},
		{empty, "bytes=1-", 416, "", "bytes */0"},
	} {
		header := http.Header{}
		if c.field != "" {
			header.Set("Range", c.field)
		}
		resp, body, err := request(t, http.MethodGet, c.url, header)
		if err != nil || resp.StatusCode != c.status || resp.Header.Get("Content-Range") != c.rng {
			t.Errorf("%q: %d, Content-Range %q, %v; want %d, %q", c.field, resp.StatusCode, resp.Header.Get("Content-Range"), err, c.status, c.rng)
		}
		if c.status == 416 {
			if !strings.HasPrefix(body, `{"detail":"`) {
				t.Errorf("%q: body %s", c.field, body)
			}
			continue
		}
		if body != c.body || resp.ContentLength != int64(len(c.body)) {
			t.Errorf("%q: %d bytes promised, got %q, want %q", c.field, resp.ContentLength, body, c.body)
		}
	}
}

func TestDownloadHeaders(t *testing.T) {
	url := fileServer(t, fileOf("0123456789"))
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		resp, body, err := request(t, method, url, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", method, resp.StatusCode, err)
		}
		if want := map[string]string{http.MethodGet: "0123456789"}[method]; body != want {
			t.Errorf("%s: body %q", method, body)
		}
		for name, want := range map[string]string{
			"Content-Type":           "application/x-ndjson",
			"Content-Disposition":    `attachment; filename="results_part_001.jsonl"`,
			"Content-Length":         "10",
			"Etag":                   tag,
			"Accept-Ranges":          "bytes",
			"Cache-Control":          "private, no-store",
			"Referrer-Policy":        "no-referrer",
			"X-Content-Type-Options": "nosniff",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", method, name, got, want)
			}
		}
	}
	// Range is defined for GET alone (RFC 9110, 14.2).
	resp, _, err := request(t, http.MethodHead, url, http.Header{"Range": {"bytes=2-4"}})
	if err != nil || resp.StatusCode != http.StatusOK || resp.ContentLength != 10 {
		t.Errorf("HEAD with Range: %d, %d bytes, %v", resp.StatusCode, resp.ContentLength, err)
	}
}

func TestConditions(t *testing.T) {
	url := fileServer(t, fileOf("0123456789"))
	for _, c := range []struct {
		name, value, rng string
		status           int
	}{
		{"If-None-Match", tag, "", 304},
		{"If-None-Match", "W/" + tag, "", 304},
		{"If-None-Match", `"a", ` + tag, "", 304},
		{"If-None-Match", "*", "", 304},
		{"If-None-Match", tag, "bytes=99-", 304},
		{"If-None-Match", `"other"`, "", 200},
		{"If-Match", tag, "", 200},
		{"If-Match", "*", "", 200},
		{"If-Match", `"other"`, "", 412},
		{"If-Match", "W/" + tag, "", 412}, // strong comparison
		{"If-Match", `"other"`, "bytes=0-1", 412},
		{"If-Range", tag, "bytes=0-1", 206},
		{"If-Range", `"other"`, "bytes=0-1", 200},
		{"If-Range", `"other"`, "bytes=99-", 200},
		{"If-Range", "W/" + tag, "bytes=0-1", 200},
		{"If-Range", "Sat, 29 Oct 1994 19:43:31 GMT", "bytes=0-1", 200},
	} {
		header := http.Header{c.name: {c.value}}
		if c.rng != "" {
			header.Set("Range", c.rng)
		}
		resp, body, err := request(t, http.MethodGet, url, header)
		if err != nil || resp.StatusCode != c.status {
			t.Errorf("%s: %s, Range %q: %d, %v; want %d", c.name, c.value, c.rng, resp.StatusCode, err, c.status)
		}
		switch {
		case c.status == 304 && (body != "" || resp.Header.Get("ETag") != tag):
			t.Errorf("304 with body %q and ETag %q", body, resp.Header.Get("ETag"))
		case c.status == 412 && !strings.HasPrefix(body, `{"detail":"`):
			t.Errorf("412 with body %q", body)
		}
	}
}

// A cut download must not look whole, with HTTP/1.1 or without a length.
func TestErrorOnTheWayBreaksTheConnection(t *testing.T) {
	f := fileOf(strings.Repeat("x", 1<<20))
	whole := f.copy
	for name, cut := range map[string]func(ctx context.Context, w io.Writer) error{
		"an error": func(ctx context.Context, w io.Writer) error {
			return errors.Join(whole(ctx, w, 0, 1<<19), errors.New("disk on fire"))
		},
		"too short": func(ctx context.Context, w io.Writer) error { return whole(ctx, w, 0, 1<<19) },
	} {
		f.copy = func(ctx context.Context, w io.Writer, _, _ int64) error { return cut(ctx, w) }
		resp, body, err := request(t, http.MethodGet, fileServer(t, f), nil)
		if err == nil {
			t.Errorf("%s: %d with %d bytes ended cleanly", name, resp.StatusCode, len(body))
		}
	}
}

func TestErrorBeforeTheFirstByteIsAnswered(t *testing.T) {
	f := fileOf("0123456789")
	f.copy = func(context.Context, io.Writer, int64, int64) error { return errors.New("disk on fire") }
	resp, body, err := request(t, http.MethodGet, fileServer(t, f), nil)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, "fire") {
		t.Errorf("%d, %s, %v", resp.StatusCode, body, err)
	}
	for _, name := range []string{"Etag", "Content-Disposition", "Accept-Ranges"} {
		if got := resp.Header.Get(name); got != "" {
			t.Errorf("the error has %s: %s", name, got)
		}
	}
}

// Many pieces, on one connection that serves many requests.
func TestLargeDownload(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 1<<16)
	url := fileServer(t, fileOf(content))
	for i := range 5 {
		offset := i * 100_001
		resp, body, err := request(t, http.MethodGet, url, http.Header{"Range": {"bytes=" + strconv.Itoa(offset) + "-"}})
		if err != nil || resp.StatusCode != http.StatusPartialContent || !bytes.Equal([]byte(body), []byte(content[offset:])) {
			t.Errorf("from %d: %d, %d bytes, %v", offset, resp.StatusCode, len(body), err)
		}
	}
}

// TestDeadReaderIsCut: a download may be slow, but not dead.
func TestDeadReaderIsCut(t *testing.T) {
	h := NewHandler(Config{Store: keyHolder{}, Log: slog.New(slog.DiscardHandler), IdleTimeout: 100 * time.Millisecond})
	content := strings.Repeat("x", 64<<20) // more than the sockets hold
	g := grant{method: http.MethodGet, client: "acme", job: job.NewID(), file: "errors.jsonl"}
	cut := make(chan error, 1)
	f := fileOf(content)
	whole := f.copy
	f.copy = func(ctx context.Context, w io.Writer, offset, length int64) error {
		err := whole(ctx, w, offset, length)
		cut <- err
		return err
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, g, f) }))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := <-cut; err == nil {
		t.Error("who reads nothing was given everything")
	}
}
