package transfer

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strings"

	"github.com/promptforge/promptforge/server/problem"
)

// digest is one member of a Content-Digest field (RFC 9530): what the content
// as it was sent, still compressed, must hash to.
type digest struct {
	algorithm string
	hash      hash.Hash
	want      []byte
}

var algorithms = map[string]func() hash.Hash{"sha-256": sha256.New, "sha-512": sha512.New}

// parseDigests reads the Content-Digest fields of a request. Algorithms that
// are not known here are passed over; a malformed field is BadRequest.
func parseDigests(fields []string) ([]digest, error) {
	malformed := problem.New(problem.BadRequest, "The Content-Digest header cannot be read; it must look like sha-256=:<base64>:.")
	last := map[string]digest{} // of a name that comes twice the last counts (RFC 9651)
	for _, member := range strings.Split(strings.Join(fields, ","), ",") {
		member = strings.TrimSpace(member)
		if member == "" && len(fields) == 0 {
			break
		}
		name, value, ok := strings.Cut(member, "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t:") {
			return nil, malformed
		}
		newHash, known := algorithms[name]
		if !known {
			continue
		}
		value, _, _ = strings.Cut(value, ";")
		value, opened := strings.CutPrefix(strings.TrimSpace(value), ":")
		value, closed := strings.CutSuffix(value, ":")
		sum, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
		d := digest{algorithm: name, hash: newHash(), want: sum}
		if !opened || !closed || err != nil || len(sum) != d.hash.Size() {
			return nil, malformed
		}
		last[name] = d
	}
	out := make([]digest, 0, len(last))
	for _, d := range last {
		out = append(out, d)
	}
	return out, nil
}

// check compares what went by with what was promised.
func (d *digest) check() error {
	if subtle.ConstantTimeCompare(d.hash.Sum(nil), d.want) == 1 {
		return nil
	}
	return problem.New(problem.BadRequest, "The upload does not match its Content-Digest ("+d.algorithm+", over the bytes as they were sent); it was changed on the way, so send it again.")
}
