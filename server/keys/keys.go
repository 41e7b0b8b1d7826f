// Package keys makes and checks API keys. A key is
//
//	pf_<id>_<secret><checksum>
//
// with an id of 12 lower-case base32 characters that may be shown, a secret of
// 32 random bytes in 43 base62 characters, and the CRC-32 of everything before
// it in 6 base62 characters, so that a mistyped key is recognised without a
// look-up. Only the SHA-256 of a key is kept.
package keys

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

const (
	prefix      = "pf_"
	idLen       = 12
	secretBytes = 32
	secretLen   = 43 // 256 bits in base62
	checksumLen = 6  // 32 bits in base62
	keyLen      = len(prefix) + idLen + 1 + secretLen + checksumLen
)

const (
	detailMissing = "Send your API key in the X-API-Key header."
	// detailRefused is said of every key that is not good, whatever is wrong
	// with it, so that nobody can probe.
	detailRefused = "This API key is not valid; check it, or ask the operator for another one."
	detailStore   = "The store cannot answer now; repeating the request is safe."
)

var (
	clientName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// CheckClient refuses a client's name that is not 1 to 64 letters, digits,
// '-', '_' and '.', with a problem.BadRequest.
func CheckClient(client string) error {
	if !clientName.MatchString(client) {
		return problem.New(problem.BadRequest, "A client's name is 1 to 64 letters, digits, '-', '_' or '.'.")
	}
	return nil
}

// Issue makes a key for a client and keeps what recognises it. plain is the
// key itself: it is returned this once and kept nowhere. The error is a
// problem: BadRequest for a bad client name, Unavailable when the store did
// not take the key.
func Issue(ctx context.Context, store storage.Keys, client string, now time.Time) (plain string, key storage.Key, err error) {
	if err := CheckClient(client); err != nil {
		return "", storage.Key{}, err
	}
	for range 3 { // an id that is taken is one in 2^60
		plain, id := generate()
		key = storage.Key{ID: id, Client: client, SHA256: sha256.Sum256([]byte(plain)), CreatedAt: now.UTC()}
		err = store.CreateKey(ctx, key)
		if err == nil {
			return plain, key, nil
		}
		if !errors.Is(err, storage.ErrExists) {
			break
		}
	}
	return "", storage.Key{}, problem.New(problem.Unavailable, detailStore).Because(fmt.Errorf("keep a key: %w", err))
}

// Authenticate tells whose key plain is. The error is a problem:
// Unauthenticated when there is none or it is no good (one and the same
// sentence whether malformed, unknown or revoked), Unavailable when the store
// could not answer. It asks the store each time, so a revoked key is refused
// at once.
func Authenticate(ctx context.Context, store storage.Keys, plain string) (client, keyID string, err error) {
	if plain == "" {
		return "", "", problem.New(problem.Unauthenticated, detailMissing)
	}
	refused := problem.New(problem.Unauthenticated, detailRefused)
	id, ok := parse(plain)
	if !ok {
		return "", "", refused
	}
	key, err := store.Key(ctx, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return "", "", refused
	case err != nil:
		return "", "", problem.New(problem.Unavailable, detailStore).Because(fmt.Errorf("look up a key: %w", err))
	}
	sum := sha256.Sum256([]byte(plain))
	if subtle.ConstantTimeCompare(sum[:], key.SHA256[:]) != 1 || key.Revoked() {
		return "", "", refused
	}
	return key.Client, key.ID, nil
}

// generate makes a key and returns its id beside it.
func generate() (plain, id string) {
	var idBytes [8]byte
	var secret [secretBytes]byte
	rand.Read(idBytes[:])
	rand.Read(secret[:])
	id = idEncoding.EncodeToString(idBytes[:])[:idLen]
	body := prefix + id + "_" + base62(secret[:], secretLen)
	return body + checksum(body), id
}

// parse returns a key's id if the key has the shape and the checksum of one.
func parse(plain string) (id string, ok bool) {
	if len(plain) != keyLen || !strings.HasPrefix(plain, prefix) || plain[len(prefix)+idLen] != '_' {
		return "", false
	}
	body := plain[:keyLen-checksumLen]
	if checksum(body) != plain[keyLen-checksumLen:] {
		return "", false
	}
	return plain[len(prefix) : len(prefix)+idLen], true
}

func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	return base62([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}, checksumLen)
}

// base62 writes b as one number of exactly width digits.
func base62(b []byte, width int) string {
	digits := new(big.Int).SetBytes(b).Text(62)
	return strings.Repeat("0", width-len(digits)) + digits
}
