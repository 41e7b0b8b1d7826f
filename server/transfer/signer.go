package transfer

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/promptforge/promptforge/job"
)

// Prefix is the path below which all transfer URLs lie. Nothing below it asks
// for an API key.
const Prefix = "/v1/transfers/"

// SecretName is the name of the secret in a Store that signs transfer URLs.
const SecretName = "url-signing"

const (
	version      = "1"
	uploadDir    = Prefix + "uploads/"
	downloadDir  = Prefix + "downloads/"
	uploadedName = "prompts.jsonl"
)

// A Signer makes transfer URLs and recognises its own. The URL is the
// permission: whoever has it may do the one thing that it was made for until it
// expires. A Signer may be used by any number of goroutines.
//
// A URL reads
//
//	<base>/v1/transfers/{uploads,downloads}/<job>/<file>?v=1&kid=<key id>&client=<client>&expires=<Unix seconds>[&view=full]&sig=<HMAC>
//
// and its signature is HMAC-SHA-256 over the method and everything from the
// path to the last parameter, so that each has exactly one spelling.
type Signer struct {
	base    func() string
	current signingKey
	known   map[string]signingKey
}

type signingKey struct {
	id     string
	secret []byte
}

// NewSigner makes a Signer that signs with secret and also recognises what was
// signed with the previous secrets. base returns what URLs begin with, such as
// https://forge.example.com or http://127.0.0.1:8080; it is asked at each URL,
// and must come from the configuration or the listener, never from a request.
func NewSigner(secret []byte, base func() string, previous ...[]byte) *Signer {
	s := &Signer{base: base, current: newSigningKey(secret), known: map[string]signingKey{}}
	for _, old := range previous {
		k := newSigningKey(old)
		s.known[k.id] = k
	}
	s.known[s.current.id] = s.current
	return s
}

// newSigningKey derives the key's public id from its secret.
func newSigningKey(secret []byte) signingKey {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("promptforge transfer key id"))
	return signingKey{id: hex.EncodeToString(mac.Sum(nil)[:4]), secret: secret}
}

// UploadURL makes the URL that takes a PUT of the job's prompts file before
// expires, which counts in whole seconds, truncated.
func (s *Signer) UploadURL(client string, id job.ID, expires time.Time) string {
	g := grant{method: http.MethodPut, client: client, job: id, file: uploadedName, expires: expires.Unix()}
	return s.url(g)
}

// DownloadURL makes the URL that takes GET and HEAD of one of the job's files
// before expires, which counts in whole seconds, truncated. full adds the
// provider's whole answers (view=full).
func (s *Signer) DownloadURL(client string, id job.ID, filename string, full bool, expires time.Time) string {
	g := grant{method: http.MethodGet, client: client, job: id, file: filename, full: full, expires: expires.Unix()}
	return s.url(g)
}

func (s *Signer) url(g grant) string {
	return strings.TrimRight(s.base(), "/") + g.signed(s.current)
}

// grant is what a URL permits.
type grant struct {
	method  string // PUT, or GET for GET and HEAD
	client  string
	job     job.ID
	file    string
	full    bool
	expires int64 // Unix seconds
}

// signed is the path and query of the grant's URL, in their only spelling.
func (g *grant) signed(k signingKey) string {
	dir := downloadDir
	if g.method == http.MethodPut {
		dir = uploadDir
	}
	target := dir + string(g.job) + "/" + url.PathEscape(g.file) +
		"?v=" + version + "&kid=" + k.id + "&client=" + url.QueryEscape(g.client) +
		"&expires=" + strconv.FormatInt(g.expires, 10)
	if g.full {
		target += "&view=full"
	}
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte(g.method + "\n" + target))
	return target + "&sig=" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// verify reads the grant of a request's URL. It is false for a URL that this
// Signer did not make to the last character. Neither expiry nor method have
// been looked at.
func (s *Signer) verify(u *url.URL) (grant, bool) {
	g := grant{method: http.MethodGet}
	rest, isDownload := strings.CutPrefix(u.Path, downloadDir)
	if !isDownload {
		var isUpload bool
		if rest, isUpload = strings.CutPrefix(u.Path, uploadDir); !isUpload {
			return grant{}, false
		}
		g.method = http.MethodPut
	}
	id, file, _ := strings.Cut(rest, "/")
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return grant{}, false
	}
	k, ok := s.known[query.Get("kid")]
	if !ok {
		return grant{}, false
	}
	g.job, g.file, g.client = job.ID(id), file, query.Get("client")
	g.full = query.Get("view") == "full"
	if g.expires, err = strconv.ParseInt(query.Get("expires"), 10, 64); err != nil {
		return grant{}, false
	}
	want, got := g.signed(k), u.EscapedPath()+"?"+u.RawQuery
	return g, subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}
