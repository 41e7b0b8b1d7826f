package transfer

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
)

// FuzzContentDigest: no field makes the parser panic, a refusal is a 400, what
// is read has its algorithm's length and comes back, and whatever stands before
// it, the digest of the content that comes last is the one that counts.
func FuzzContentDigest(f *testing.F) {
	for _, field := range []string{
		"", "sha-256=:AAAA:", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", "md5=:x:", "unixsum=30637, sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:;a=b",
		"sha-512=:z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==:", "a=?1,b", "=::",
	} {
		f.Add(field, []byte("content"))
	}
	f.Fuzz(func(t *testing.T, field string, content []byte) {
		digests, err := parseDigests([]string{field})
		var p *problem.Problem
		if err != nil && (!errors.As(err, &p) || p.Kind != problem.BadRequest) {
			t.Fatalf("%q: %v", field, err)
		}
		for _, d := range digests {
			if len(d.want) != d.hash.Size() || algorithms[d.algorithm] == nil {
				t.Fatalf("%q: %d bytes of %s", field, len(d.want), d.algorithm)
			}
			back, err := parseDigests([]string{d.algorithm + "=:" + base64.StdEncoding.EncodeToString(d.want) + ":"})
			if err != nil || len(back) != 1 || !bytes.Equal(back[0].want, d.want) {
				t.Fatalf("%q came back as %v, %v", field, back, err)
			}
		}
		sum := sha256.Sum256(content)
		both, bad := parseDigests([]string{field, "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"})
		if (bad == nil) != (err == nil) {
			t.Fatalf("%q alone: %v, before another: %v", field, err, bad)
		}
		if bad != nil {
			return
		}
		at := slices.IndexFunc(both, func(d digest) bool { return d.algorithm == "sha-256" })
		if at < 0 {
			t.Fatalf("%q hides the digest after it", field)
		}
		both[at].hash.Write(content)
		if err := both[at].check(); err != nil {
			t.Fatalf("the content that it was made of: %v", err)
		}
		both[at].hash.Write([]byte{0})
		if both[at].check() == nil {
			t.Fatal("a longer content has the same digest")
		}
	})
}

// FuzzSignedURL: what the signer makes it reads back, with any byte changed it
// refuses it, and of all other targets it knows only those that it made.
func FuzzSignedURL(f *testing.F) {
	s := NewSigner(bytes.Repeat([]byte{7}, 32), func() string { return "" })
	const id = job.ID("3f7a1c2e-4b5d-4e7f-8a9b-0c1d2e3f4a5b")
	made := []string{
		s.UploadURL("acme", id, start),
		s.DownloadURL("acme", id, "errors.jsonl", false, start),
		s.DownloadURL("acme", id, "results_part_001.jsonl", true, start),
	}
	for _, target := range append(made, "/v1/transfers/uploads/", "/v1/transfers/downloads/x/y?v=1&kid=&client=&expires=-1&sig=", "*", "http://x/v1/transfers/uploads/a/b?%zz") {
		f.Add(target, "acme", "errors.jsonl", true, start.Unix(), 40, byte(1))
	}
	f.Fuzz(func(t *testing.T, target, client, file string, full bool, expires int64, at int, turn byte) {
		if u, err := url.ParseRequestURI(target); err == nil {
			if g, ok := s.verify(u); ok && !slices.Contains(made, u.EscapedPath()+"?"+u.RawQuery) {
				t.Fatalf("%q is taken for %+v", target, g)
			}
		}
		own := s.DownloadURL(client, id, file, full, time.Unix(expires, 0))
		u, err := url.ParseRequestURI(own)
		if err != nil {
			t.Fatal(err)
		}
		g, ok := s.verify(u)
		if want := (grant{http.MethodGet, client, id, file, full, time.Unix(expires, 0).Unix()}); !ok || g != want {
			t.Fatalf("%s reads as %+v, %v; want %+v", own, g, ok, want)
		}
		if turn == 0 {
			return
		}
		b := []byte(own)
		b[uint(at)%uint(len(b))] ^= turn //nolint:gosec // any place will do
		if u, err = url.ParseRequestURI(string(b)); err != nil {
			return
		}
		if g, ok := s.verify(u); ok {
			t.Fatalf("%q is taken for %+v, made was %q", b, g, own)
		}
	})
}

// zeros is a file of nothing but zeros.
type zeros int64

func (z zeros) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(z) {
		return 0, io.EOF
	}
	clear(p)
	return int(min(int64(len(p)), int64(z)-off)), nil
}

// FuzzRange: a span lies within the file and is never empty, and what net/http
// itself makes of the same field is the same, where ours makes anything of it.
func FuzzRange(f *testing.F) {
	for _, field := range []string{
		"bytes=0-", "bytes=0-0", "bytes=-5", "bytes=-0", "bytes=5-2", "bytes=9-99", "bytes=10-", "bytes=a-b", "bytes=1-2,4-5",
		"bytes= 1-2 ", "bytes=\f-1", "bytes=--1", "lines=1-2", "bytes=99999999999999999999-", "bytes=0-99999999999999999999", "bytes=-99999999999999999999", "",
	} {
		f.Add(field, int64(10))
	}
	f.Fuzz(func(t *testing.T, field string, size int64) {
		if size < 0 {
			size = -(size + 1)
		}
		s, ok := rangeOf(field, size)
		switch {
		case !ok:
		case s.start < 0 || s.length < 0 || s.length > size-s.start:
			t.Fatalf("%q of %d is %+v", field, size, s)
		case !s.partial && (s.start != 0 || s.length != size), s.partial && s.length == 0:
			t.Fatalf("%q of %d is %+v", field, size, s)
		}
		if size == 0 || ok && !s.partial || longNumber.MatchString(field) || noBytes.MatchString(field) {
			return // net/http refuses what ours passes over
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodHead, "/", nil)
		r.Header.Set("Range", field)
		http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(zeros(size), 0, size))
		want := http.StatusPartialContent
		if !ok {
			want = http.StatusRequestedRangeNotSatisfiable
		}
		if w.Code != want {
			t.Fatalf("%q of %d is %+v, %v; net/http answers %d", field, size, s, ok, w.Code)
		}
		got := w.Header().Get("Content-Range")
		if ok && got != fmt.Sprintf("bytes %d-%d/%d", s.start, s.start+s.length-1, size) {
			t.Fatalf("%q of %d is %+v; net/http says %s", field, size, s, got)
		}
	})
}

var (
	// longNumber is what net/http does not read.
	longNumber = regexp.MustCompile(`\d{18}`)
	// noBytes asks for the last 0 bytes: by RFC 9110 that is outside the file,
	// net/http answers 206 with nothing.
	noBytes = regexp.MustCompile(`^bytes=\s*-0+\s*$`)
)
