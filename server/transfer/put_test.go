package transfer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

const prompts = `{"prompt_id":1,"prompt":"one"}` + "\n" + `{"prompt_id":"2","prompt":"two"}` + "\n"

const otherPrompts = `{"prompt_id":1,"prompt":"eins"}` + "\n"

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err1 := io.WriteString(w, s)
	if err := errors.Join(err1, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t *testing.T, s string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(s), nil))
}

func contentDigest(name, body string) string {
	if name == "sha-512" {
		sum := sha512.Sum512([]byte(body))
		return "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	sum := sha256.Sum256([]byte(body))
	return name + "=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func TestUpload(t *testing.T) {
	gz, zs := gzipped(t, prompts), zstded(t, prompts)
	for name, c := range map[string]struct {
		body   string
		header []string
	}{
		"as it is":          {prompts, nil},
		"identity":          {prompts, []string{"Content-Encoding", "identity"}},
		"gzip":              {gz, []string{"Content-Encoding", "gzip"}},
		"GZIP":              {gz, []string{"Content-Encoding", "GZIP"}},
		"zstd":              {zs, []string{"Content-Encoding", "zstd"}},
		"digest":            {prompts, []string{"Content-Digest", contentDigest("sha-256", prompts)}},
		"digest of gzip":    {gz, []string{"Content-Encoding", "gzip", "Content-Digest", contentDigest("sha-256", gz)}},
		"digest of zstd":    {zs, []string{"Content-Encoding", "zstd", "Content-Digest", contentDigest("sha-512", zs)}},
		"two digests":       {prompts, []string{"Content-Digest", contentDigest("sha-512", prompts) + " , " + contentDigest("sha-256", prompts)}},
		"two fields":        {prompts, []string{"Content-Digest", contentDigest("sha-512", prompts), "Content-Digest", contentDigest("sha-256", prompts)}},
		"with a parameter":  {prompts, []string{"Content-Digest", contentDigest("sha-256", prompts) + ";x=1"}},
		"an unknown digest": {prompts, []string{"Content-Digest", "md5=:AAAA:"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			id, url := e.newJob()
			a := e.put(url, c.body, c.header...)
			e.want(a, http.StatusOK)
			if want := uploadedAs(id, job.Queued, "2"); a.body != want {
				t.Errorf("answered %s, want %s", a.body, want)
			}
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
			j := e.job(id)
			if j.Status != job.Queued || j.PromptCount != 2 || j.Prompts.SHA256 != sha256.Sum256([]byte(prompts)) {
				t.Errorf("the job is %s with %d prompts, SHA-256 %x", j.Status, j.PromptCount, j.Prompts.SHA256)
			}
			if names := e.fileNames(); len(names) != 1 || names[0] != j.Prompts.Name {
				t.Errorf("files %v, the job's is %s", names, j.Prompts.Name)
			}
		})
	}
}

func TestBrokenUploadLeavesTheJobAsItWas(t *testing.T) {
	gz, zs := gzipped(t, strings.Repeat(prompts, 1000)), zstded(t, strings.Repeat(prompts, 1000))
	for name, c := range map[string]struct {
		status int
		words  string
		body   string
		header []string
	}{
		"unknown encoding":       {400, "Content-Encoding", prompts, []string{"Content-Encoding", "br"}},
		"two encodings":          {400, "Content-Encoding", gz, []string{"Content-Encoding", "gzip, gzip"}},
		"two encoding fields":    {400, "Content-Encoding", gz, []string{"Content-Encoding", "gzip", "Content-Encoding", "zstd"}},
		"no gzip":                {400, "", prompts, []string{"Content-Encoding", "gzip"}},
		"no zstd":                {400, "", prompts, []string{"Content-Encoding", "zstd"}},
		"cut gzip":               {400, "", gz[:len(gz)-3], []string{"Content-Encoding", "gzip"}},
		"cut zstd":               {400, "", zs[:len(zs)-3], []string{"Content-Encoding", "zstd"}},
		"rubbish after gzip":     {400, "", gz + "rubbish", []string{"Content-Encoding", "gzip"}},
		"mismatch":               {400, "Content-Digest", prompts, []string{"Content-Digest", contentDigest("sha-256", otherPrompts)}},
		"mismatch 512":           {400, "Content-Digest", prompts, []string{"Content-Digest", contentDigest("sha-512", otherPrompts)}},
		"one of two mismatches":  {400, "Content-Digest", prompts, []string{"Content-Digest", contentDigest("sha-256", prompts) + "," + contentDigest("sha-512", gz)}},
		"digest of the content":  {400, "Content-Digest", gz, []string{"Content-Encoding", "gzip", "Content-Digest", contentDigest("sha-256", strings.Repeat(prompts, 1000))}},
		"digest without colons":  {400, "cannot be read", prompts, []string{"Content-Digest", strings.ReplaceAll(contentDigest("sha-256", prompts), ":", "")}},
		"digest too short":       {400, "cannot be read", prompts, []string{"Content-Digest", "sha-256=:AAAA:"}},
		"digest no base64":       {400, "cannot be read", prompts, []string{"Content-Digest", "sha-256=:!!!!:"}},
		"digest in hex":          {400, "cannot be read", prompts, []string{"Content-Digest", fmt.Sprintf("%x", sha256.Sum256([]byte(prompts)))}},
		"digest empty":           {400, "cannot be read", prompts, []string{"Content-Digest", ""}},
		"too large":              {413, "1000000 bytes", strings.Repeat(" ", 1_000_001), nil},
		"too large unpacked":     {413, "", gzipped(t, strings.Repeat(" ", 1_000_001)), []string{"Content-Encoding", "gzip"}},
		"too large unpacked, zs": {413, "", zstded(t, strings.Repeat(" ", 1_000_001)), []string{"Content-Encoding", "zstd"}},
		"much too large":         {413, "", strings.Repeat(" ", 3_000_000), []string{"Content-Encoding", "gzip"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, func(c *Config) { c.MaxUploadBytes = 1_000_000 })
			id, url := e.newJob()
			e.want(e.put(url, c.body, c.header...), c.status, c.words)
			e.awaits(id)
			e.want(e.put(url, prompts), http.StatusOK) // the URL stays good
		})
	}
}

// Empty frames decompress to nothing, however many come.
func TestEndlessEmptyFrames(t *testing.T) {
	e := newEnv(t, func(c *Config) { c.MaxUploadBytes = 1000 })
	id, url := e.newJob()
	frame := gzipped(t, "")
	endless := &repeat{s: frame}
	a := e.do(http.MethodPut, url, http.Header{"Content-Encoding": {"gzip"}}, endless)
	e.want(a, http.StatusRequestEntityTooLarge)
	e.awaits(id)
}

// repeat is a text without an end.
type repeat struct {
	s   string
	pos int
}

func (r *repeat) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = r.s[r.pos]
		r.pos = (r.pos + 1) % len(r.s)
	}
	return len(b), nil
}

// raw opens a connection and sends the head of a PUT.
func (e *env) raw(target, head string) (net.Conn, *bufio.Reader) {
	e.Helper()
	u, err := url.Parse(target)
	if err != nil {
		e.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { conn.Close() })
	e.send(conn, "PUT "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\n"+head+"\r\n\r\n")
	return conn, bufio.NewReader(conn)
}

func (e *env) send(conn net.Conn, s string) {
	e.Helper()
	if _, err := io.WriteString(conn, s); err != nil {
		e.Fatal(err)
	}
}

func (e *env) read(r *bufio.Reader) answer {
	e.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		e.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		e.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func TestCutUpload(t *testing.T) {
	for name, head := range map[string]string{
		"with a length": "Content-Length: 1000",
		"chunked":       "Transfer-Encoding: chunked",
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			id, url := e.newJob()
			conn, r := e.raw(url, head)
			e.send(conn, fmt.Sprintf("%x\r\n%s", len(prompts), prompts)) // no more than a part of either
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			e.want(e.read(r), http.StatusBadRequest, "broke off")
			e.awaits(id)
			e.want(e.put(url, prompts), http.StatusOK)
		})
	}
}

func TestDeadClientIsCut(t *testing.T) {
	e := newEnv(t, func(c *Config) { c.IdleTimeout = 50 * time.Millisecond })
	id, url := e.newJob()
	conn, r := e.raw(url, "Content-Length: 1000")
	e.send(conn, "{")
	e.want(e.read(r), http.StatusBadRequest, "nothing came for too long")
	e.awaits(id)
}

func TestContinueIsSentWhenTheBodyIsWanted(t *testing.T) {
	e := newEnv(t)
	id, url := e.newJob()
	head := fmt.Sprintf("Content-Length: %d\r\nExpect: 100-continue", len(prompts))
	conn, r := e.raw(url, head)
	if a := e.read(r); a.status != http.StatusContinue {
		t.Fatalf("status %d, want 100", a.status)
	}
	if !e.handler.Busy(id) {
		t.Error("an upload runs, and the job is not busy")
	}
	e.send(conn, prompts)
	e.want(e.read(r), http.StatusOK)

	// What can be told without the body is told without it.
	cancelled, url := e.newJob()
	if _, err := e.store.Cancel(t.Context(), client, cancelled, start); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		url, head string
		status    int
	}{
		{url, head, http.StatusConflict},
		{url + "x", head, http.StatusForbidden},
		{second(e.newJob()), head + "\r\nContent-Encoding: br", http.StatusBadRequest},
		{second(e.newJob()), head + "\r\nContent-Digest: x", http.StatusBadRequest},
		{second(e.newJob()), "Content-Length: 99999999999\r\nExpect: 100-continue", http.StatusRequestEntityTooLarge},
	} {
		_, r := e.raw(c.url, c.head)
		e.want(e.read(r), c.status)
	}
}

func second[A, B any](_ A, b B) B { return b }

func TestSameBytesAgain(t *testing.T) {
	e := newEnv(t)
	id, url := e.newJob()
	e.want(e.put(url, prompts), http.StatusOK)
	for range 2 {
		if a := e.put(url, zstded(t, prompts), "Content-Encoding", "zstd"); a.body != uploadedAs(id, job.Queued, "2") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	e.want(e.put(url, otherPrompts), http.StatusConflict, "QUEUED")
	e.want(e.put(url, prompts, "Content-Digest", contentDigest("sha-256", otherPrompts)), http.StatusBadRequest)
	e.want(e.put(url, "nonsense", "Content-Encoding", "gzip"), http.StatusBadRequest)
	if _, err := e.store.Cancel(t.Context(), client, id, start); err != nil {
		t.Fatal(err)
	}
	if a := e.put(url, prompts); a.body != uploadedAs(id, job.Cancelled, "2") {
		t.Errorf("after a cancel: %d %s", a.status, a.body)
	}
	e.want(e.put(url, otherPrompts), http.StatusConflict, "CANCELLED")
	if names := e.fileNames(); len(names) != 1 {
		t.Errorf("files %v", names)
	}
}

func TestCancelledBeforeItsUpload(t *testing.T) {
	e := newEnv(t)
	id, url := e.newJob()
	if _, err := e.store.Cancel(t.Context(), client, id, start); err != nil {
		t.Fatal(err)
	}
	e.want(e.put(url, prompts), http.StatusConflict, "CANCELLED")
	if names := e.fileNames(); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestCancelledDuringItsUpload(t *testing.T) {
	e := newEnv(t)
	id, url := e.newJob()
	conn, r := e.raw(url, fmt.Sprintf("Content-Length: %d\r\nExpect: 100-continue", len(prompts)))
	e.read(r) // 100: the upload runs
	if _, err := e.store.Cancel(t.Context(), client, id, start); err != nil {
		t.Fatal(err)
	}
	e.send(conn, prompts)
	e.want(e.read(r), http.StatusConflict, "CANCELLED")
	if names := e.fileNames(); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

// Two run at once; the one that ends first wins.
func TestTwoUploadsAtOnce(t *testing.T) {
	for _, c := range []struct {
		second string
		status int
	}{{prompts, http.StatusOK}, {otherPrompts, http.StatusConflict}} {
		e := newEnv(t)
		id, url := e.newJob()
		conn, r := e.raw(url, fmt.Sprintf("Content-Length: %d\r\nExpect: 100-continue", len(c.second)))
		e.read(r) // 100: the loser runs
		e.want(e.put(url, prompts), http.StatusOK)
		if !e.handler.Busy(id) {
			t.Error("one of two uploads ended, and the job is not busy")
		}
		e.send(conn, c.second)
		e.want(e.read(r), c.status)
		if j, names := e.job(id), e.fileNames(); len(names) != 1 || names[0] != j.Prompts.Name {
			t.Errorf("files %v, the job's is %s", names, j.Prompts.Name)
		}
	}
}

// The loser's error records lie in parts of their own, which go with it.
func TestLosersPartsAreRemoved(t *testing.T) {
	e := newEnv(t)
	id, url := e.newJob()
	loser := otherPrompts + "no JSON\n" + otherPrompts
	conn, r := e.raw(url, fmt.Sprintf("Content-Length: %d\r\nExpect: 100-continue", len(loser)))
	e.read(r)
	e.want(e.put(url, prompts), http.StatusOK)
	e.send(conn, loser)
	e.want(e.read(r), http.StatusConflict)
	if names := e.fileNames(); len(names) != 1 || names[0] != e.job(id).Prompts.Name {
		t.Errorf("files %v", names)
	}
	// The same for one whose end does not match its digest.
	id, url = e.newJob()
	e.want(e.put(url, loser, "Content-Digest", contentDigest("sha-256", prompts)), http.StatusBadRequest)
	if names := e.fileNames(); len(names) != 1 || e.job(id).Status != job.AwaitingUpload {
		t.Errorf("files %v", names)
	}
}

func TestUnusableLinesAreCounted(t *testing.T) {
	e := newEnv(t)
	id, url := e.newJob()
	body := prompts + "\n \nno JSON\n" + prompts
	if a := e.put(url, body); a.body != uploadedAs(id, job.Queued, "5") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if j := e.job(id); j.Prompts.Usable != 2 {
		t.Errorf("%d usable", j.Prompts.Usable)
	}
}

func TestFileWithoutAUsableLine(t *testing.T) {
	e := newEnv(t)
	id, url := e.newJob()
	for range 2 {
		if a := e.put(url, "no JSON\n"); a.status != http.StatusOK || a.body != uploadedAs(id, job.Failed, "1") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	e.want(e.put(url, prompts), http.StatusConflict, "FAILED")
}

func TestManyUploadsAtOnce(t *testing.T) {
	e := newEnv(t)
	id, url := e.newJob()
	bodies := []string{prompts, otherPrompts}
	answers := make([]answer, 16)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = e.put(url, bodies[i%2]) })
	}
	wg.Wait()
	j := e.job(id)
	for i, a := range answers {
		want := http.StatusConflict
		if sha256.Sum256([]byte(bodies[i%2])) == j.Prompts.SHA256 {
			want = http.StatusOK
		}
		e.want(a, want)
	}
	if names := e.fileNames(); len(names) != 1 || names[0] != j.Prompts.Name {
		t.Errorf("files %v, the job's is %s", names, j.Prompts.Name)
	}
}

func TestRunningUploadOutlivesItsURL(t *testing.T) {
	e := newEnv(t)
	id, url := e.newJob()
	conn, r := e.raw(url, fmt.Sprintf("Content-Length: %d\r\nExpect: 100-continue", len(prompts)))
	e.read(r)
	e.advance(time.Hour)
	if n, err := e.store.ExpireUploads(t.Context(), e.now(), e.handler.Busy); n != 0 || err != nil {
		t.Errorf("%d swept, %v", n, err)
	}
	e.send(conn, prompts)
	if a := e.read(r); a.body != uploadedAs(id, job.Queued, "2") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestUploadWithoutHTTP(t *testing.T) {
	e := newEnv(t)
	id, url := e.newJob()
	ctx := t.Context()
	_, err := e.handler.Upload(ctx, "other", id, "", strings.NewReader(prompts))
	wantKind(t, err, problem.NotFound)
	_, err = e.handler.Upload(ctx, client, job.NewID(), "", strings.NewReader(prompts))
	wantKind(t, err, problem.NotFound)
	_, err = e.handler.Upload(ctx, client, id, "br", strings.NewReader(prompts))
	wantKind(t, err, problem.BadRequest)
	gone := errors.New("the stream is gone")
	_, err = e.handler.Upload(ctx, client, id, "", io.MultiReader(strings.NewReader(prompts), iotest.ErrReader(gone)))
	wantKind(t, err, problem.BadRequest)
	if !errors.Is(err, gone) {
		t.Errorf("the cause is lost: %v", err)
	}
	own := problem.New(problem.BadRequest, "The second message has no data.")
	if _, err = e.handler.Upload(ctx, client, id, "", iotest.ErrReader(own)); !errors.Is(err, own) {
		t.Errorf("a problem of the body became %v", err)
	}
	e.awaits(id)
	for _, encoding := range []string{"gzip", "identity"} {
		body := map[string]string{"gzip": gzipped(t, prompts), "identity": prompts}[encoding]
		j, err := e.handler.Upload(ctx, client, id, encoding, iotest.OneByteReader(strings.NewReader(body)))
		if err != nil || j.Status != job.Queued || j.PromptCount != 2 {
			t.Fatalf("%+v, %v", j, err)
		}
	}
	e.want(e.put(url, prompts), http.StatusOK)
	_, err = e.handler.Upload(ctx, client, id, "", strings.NewReader(otherPrompts))
	wantKind(t, err, problem.JobState)
}

func wantKind(t *testing.T, err error, kind problem.Kind) {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Kind != kind {
		t.Errorf("got %v, want a problem of kind %s", err, kind.Reason())
	}
}

// away is a store that cannot answer some questions.
type away struct {
	storage.Store
	complete, hasKey, job error
}

func (a *away) CompleteUpload(ctx context.Context, id job.ID, u storage.Upload, at time.Time) (*job.Job, error) {
	if a.complete != nil {
		return nil, a.complete
	}
	return a.Store.CompleteUpload(ctx, id, u, at)
}

func (a *away) HasKey(ctx context.Context, client string) (bool, error) {
	if a.hasKey != nil {
		return false, a.hasKey
	}
	return a.Store.HasKey(ctx, client)
}

func (a *away) Job(ctx context.Context, client string, id job.ID) (*job.Job, error) {
	if a.job != nil {
		return nil, a.job
	}
	return a.Store.Job(ctx, client, id)
}

func TestStoreAway(t *testing.T) {
	fire := errors.New("disk on fire")
	for name, a := range map[string]*away{"the job": {job: fire}, "the key": {hasKey: fire}, "the end": {complete: fire}} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, func(c *Config) { a.Store = c.Store; c.Store = a })
			_, url := e.newJob()
			got := e.put(url, prompts)
			e.want(got, http.StatusServiceUnavailable)
			if strings.Contains(got.body, "fire") || got.header.Get("Retry-After") == "" {
				t.Errorf("%v %s", got.header, got.body)
			}
			// Whether the job has the files is not known, so they are kept.
			if kept := len(e.fileNames()) > 0; kept != (a.complete != nil) {
				t.Errorf("files kept: %v", kept)
			}
		})
	}
}

// tight is a disk that a test fills.
type tight struct {
	storage.EndlessRoom
	full atomic.Bool
}

func (r *tight) Short() (string, time.Time) {
	if r.full.Load() {
		return "full", start
	}
	return "", time.Time{}
}

// TestUploadWithoutRoom: while the disk is nearly full an upload is 503, also
// one that is under way; the job stays as it was, and what a job has already
// can be asked for.
func TestUploadWithoutRoom(t *testing.T) {
	room := &tight{}
	e := newEnv(t, func(c *Config) { c.Room = room })
	id, url := e.newJob()
	room.full.Store(true)
	refused := func(a answer) {
		t.Helper()
		e.want(a, http.StatusServiceUnavailable, "disk is nearly full")
		if a.header.Get("Retry-After") != "30" {
			t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
		}
	}
	refused(e.put(url, prompts))
	_, err := e.handler.Upload(t.Context(), client, id, "", strings.NewReader(prompts))
	wantKind(t, err, problem.Unavailable)
	e.awaits(id)
	room.full.Store(false)
	_, err = e.handler.Upload(t.Context(), client, id, "", io.MultiReader(strings.NewReader(prompts), readerFunc(func([]byte) (int, error) {
		room.full.Store(true)
		return 0, io.EOF
	})))
	wantKind(t, err, problem.Unavailable)
	e.awaits(id)
	if names := e.fileNames(); len(names) != 0 {
		t.Errorf("files %v", names)
	}
	room.full.Store(false)
	e.want(e.put(url, prompts), http.StatusOK)
	room.full.Store(true)
	e.want(e.put(url, prompts), http.StatusOK)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestDeletedDuringItsUpload(t *testing.T) {
	e := newEnv(t, func(c *Config) { c.Store = &away{Store: c.Store, complete: storage.ErrNotFound} })
	_, url := e.newJob()
	e.want(e.put(url, prompts), http.StatusNotFound)
	if names := e.fileNames(); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}
