package transfer

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
)

func TestURLs(t *testing.T) {
	base := "https://forge.example.com/sub/"
	s := NewSigner(bytes.Repeat([]byte{1}, 32), func() string { return base })
	id := job.NewID()
	for made, want := range map[string]string{
		s.UploadURL(client, id, start):                                   "https://forge.example.com/sub/v1/transfers/uploads/" + string(id) + "/prompts.jsonl?",
		s.DownloadURL(client, id, "errors.jsonl", false, start):          "https://forge.example.com/sub/v1/transfers/downloads/" + string(id) + "/errors.jsonl?",
		s.DownloadURL(client, id, "results_part_001.jsonl", true, start): "https://forge.example.com/sub/v1/transfers/downloads/" + string(id) + "/results_part_001.jsonl?",
	} {
		if !strings.HasPrefix(made, want) {
			t.Errorf("%s does not begin with %s", made, want)
		}
		u, err := url.Parse(made)
		if err != nil {
			t.Fatal(err)
		}
		if got := path.Base(u.Path); !strings.HasSuffix(got, ".jsonl") { // what curl -O takes
			t.Errorf("the last element is %s", got)
		}
		if strings.ContainsAny(made, `%+'"<> `) {
			t.Errorf("%s would have to be quoted", made)
		}
	}
	base = "http://127.0.0.1:1"
	if made := s.UploadURL(client, id, start); !strings.HasPrefix(made, base+"/v1/") {
		t.Errorf("the base is asked at each URL, got %s", made)
	}
}

func TestFullAndPlainAreTwoURLs(t *testing.T) {
	s := NewSigner(bytes.Repeat([]byte{1}, 32), func() string { return "" })
	id := job.NewID()
	for _, full := range []bool{false, true} {
		u, err := url.Parse(s.DownloadURL(client, id, "errors.jsonl", full, start))
		if err != nil {
			t.Fatal(err)
		}
		g, ok := s.verify(u)
		if want := (grant{http.MethodGet, client, id, "errors.jsonl", full, start.Unix()}); !ok || g != want {
			t.Errorf("read %+v, %v; want %+v", g, ok, want)
		}
	}
}

func TestRotation(t *testing.T) {
	base := func() string { return "" }
	older, newer := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	before := NewSigner(older, base)
	after := NewSigner(newer, base, older)
	verify := func(s *Signer, text string) bool {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		_, ok := s.verify(u)
		return ok
	}
	id := job.NewID()
	was, is := before.UploadURL(client, id, start), after.UploadURL(client, id, start)
	if !verify(after, was) || !verify(after, is) || !verify(before, was) {
		t.Error("a URL of its own or of the secret before is refused")
	}
	if verify(before, is) || verify(NewSigner(newer, base), was) {
		t.Error("a URL of an unknown secret is taken")
	}
}

// Only what was signed to the last bit is taken: over real connections, each
// bit of each URL is turned once.
func TestEveryBitCounts(t *testing.T) {
	e := newEnv(t)
	expires := start.Add(time.Hour)
	var targets []struct{ method, target string }
	add := func(method, made string) {
		targets = append(targets, struct{ method, target string }{method, strings.TrimPrefix(made, e.url)})
	}
	for range 3 {
		id, made := e.newJob()
		add(http.MethodPut, made)
		add(http.MethodGet, e.handler.Signer.DownloadURL(client, id, "errors.jsonl", false, expires))
		add(http.MethodHead, e.handler.Signer.DownloadURL(client, id, "errors.jsonl", true, expires))
	}
	c := &rawClient{t: t, host: strings.TrimPrefix(e.url, "http://")}
	counts := map[int]int{}
	for _, r := range targets {
		for i := range len(r.target) {
			for bit := range 8 {
				b := []byte(r.target)
				b[i] ^= 1 << bit
				status := c.status(r.method, string(b))
				counts[status]++
				// 400 is net/http's own word for what is no URL.
				if status != http.StatusForbidden && status != http.StatusBadRequest {
					t.Errorf("%s %q: %d", r.method, b, status)
				}
			}
		}
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	t.Logf("%d altered URLs: %v", total, counts)
	if total < 10_000 {
		t.Errorf("only %d URLs were tried", total)
	}
	for _, r := range targets {
		if status := c.status(r.method, r.target); status != http.StatusOK && r.method != http.MethodPut {
			t.Errorf("the URL as it was: %s %d", r.method, status)
		}
	}
}

// rawClient sends request targets as they are.
type rawClient struct {
	t    *testing.T
	host string
	conn net.Conn
	r    *bufio.Reader
}

func (c *rawClient) status(method, target string) int {
	if c.conn == nil {
		var err error
		if c.conn, err = net.Dial("tcp", c.host); err != nil {
			c.t.Fatal(err)
		}
		c.r = bufio.NewReader(c.conn)
	}
	if _, err := fmt.Fprintf(c.conn, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", method, target); err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		c.t.Fatal(err)
	}
	if resp.Close || resp.StatusCode == http.StatusBadRequest {
		c.conn.Close()
		c.conn = nil
	}
	return resp.StatusCode
}

func TestOtherSpellingsOfAGoodURL(t *testing.T) {
	e := newEnv(t)
	id, _ := e.newJob()
	good := e.handler.Signer.DownloadURL(client, id, "errors.jsonl", false, start.Add(time.Hour))
	e.want(e.do(http.MethodGet, good, nil, nil), http.StatusOK)
	for _, other := range []string{
		good + "&x=1",
		good + "&view=full",
		good + "&",
		good + "=",
		good + "&client=other",
		strings.Replace(good, "?", "/?", 1),
		strings.Replace(good, "?", "??", 1),
		strings.Replace(good, "errors", "%65rrors", 1),
		strings.Replace(good, "client=acme", "client=%61cme", 1),
		strings.Replace(good, "client=acme", "client=other", 1),
		strings.Replace(good, "errors.jsonl", "results_part_001.jsonl", 1),
		strings.Replace(good, "downloads", "uploads", 1),
		strings.Replace(good, string(id), strings.ToUpper(string(id)), 1),
		strings.Replace(good, "v=1", "v=2", 1),
		strings.Replace(good, "expires=", "expires=0", 1),
		strings.Replace(good, "expires=", "expires=%2B", 1),
		good[:strings.Index(good, "&sig=")],
		good[:strings.Index(good, "?")],
		e.url + Prefix,
		e.url + Prefix + "uploads/",
	} {
		a := e.do(http.MethodGet, other, nil, nil)
		e.want(a, http.StatusForbidden)
		if a.body == "" {
			t.Error(other)
		}
	}
}

func TestExpiryMethodAndKey(t *testing.T) {
	e := newEnv(t)
	id, put := e.newJob()
	expires := start.Add(15 * time.Minute)
	get := e.handler.Signer.DownloadURL(client, id, "errors.jsonl", false, expires)
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "PATCH", "OPTIONS"} {
		a := e.do(method, put, nil, nil)
		if a.status != http.StatusForbidden || (method != "HEAD" && !strings.Contains(a.body, "good for PUT only")) {
			t.Errorf("%s of an upload URL: %d %s", method, a.status, a.body)
		}
	}
	for _, method := range []string{"PUT", "POST", "DELETE", "PATCH", "OPTIONS"} {
		e.want(e.do(method, get, nil, nil), http.StatusForbidden, "good for GET and HEAD only")
	}
	e.want(e.do(http.MethodHead, get, nil, nil), http.StatusOK)
	e.awaits(id)

	e.advance(15*time.Minute - time.Second)
	e.want(e.do(http.MethodGet, get, nil, nil), http.StatusOK)
	e.advance(time.Second)
	e.want(e.do(http.MethodGet, get, nil, nil), http.StatusForbidden, "expired", "/results")
	// Expired comes before the state: nothing is told of the job.
	if _, err := e.store.Cancel(t.Context(), client, id, start); err != nil {
		t.Fatal(err)
	}
	e.want(e.put(put, prompts), http.StatusForbidden, "expired", "/upload-url")

	id, put = e.newJob()
	get = e.handler.Signer.DownloadURL(client, id, "errors.jsonl", false, e.now().Add(time.Minute))
	if err := e.store.RevokeKey(t.Context(), "key-1", start); err != nil {
		t.Fatal(err)
	}
	e.want(e.put(put, prompts), http.StatusForbidden, "no API key")
	e.want(e.do(http.MethodGet, get, nil, nil), http.StatusForbidden, "no API key")
	e.awaits(id)
}

func TestNoSuchJob(t *testing.T) {
	e := newEnv(t)
	id, _ := e.newJob()
	expires := start.Add(time.Hour)
	for _, made := range []string{
		e.handler.Signer.DownloadURL(client, job.NewID(), "errors.jsonl", false, expires),
		e.handler.Signer.DownloadURL(client, id, "results_part_999.jsonl", false, expires),
	} {
		e.want(e.do(http.MethodGet, made, nil, nil), http.StatusNotFound)
	}
	e.want(e.put(e.handler.Signer.UploadURL(client, job.NewID(), expires), prompts), http.StatusNotFound)
}
