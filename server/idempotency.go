package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/metadata"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

const (
	idempotencyMetadata = "idempotency-key"
	idempotencyLifetime = 24 * time.Hour
	maxIdempotencyKey   = 255

	detailIdempotencyKey = "The Idempotency-Key must be given once, and have 1 to 255 printable ASCII characters."
)

// idempotencyOf reads the call's Idempotency-Key; nil where none came.
func idempotencyOf(ctx context.Context, j *job.Job) (*storage.Idempotency, error) {
	keys := metadata.ValueFromIncomingContext(ctx, idempotencyMetadata)
	if len(keys) == 0 {
		return nil, nil
	}
	if !validIdempotencyKeys(keys) {
		return nil, badRequest(detailIdempotencyKey)
	}
	return &storage.Idempotency{Key: keys[0], Request: requestHash(j), Lifetime: idempotencyLifetime}, nil
}

func validIdempotencyKeys(keys []string) bool {
	if len(keys) != 1 || keys[0] == "" || utf8.RuneCountInString(keys[0]) > maxIdempotencyKey {
		return false
	}
	for _, c := range []byte(keys[0]) {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

// requestHash is the same for requests that ask for the same job, however they
// were written: of what was given only, defaults filled in, lengths before
// texts, so that fields that a later version adds change no hash of today.
func requestHash(j *job.Job) [32]byte {
	h := hashWriter{sha256.New()}
	h.field("provider", j.Provider)
	h.field("model", j.Model)
	h.field("max_retries", strconv.Itoa(j.MaxRetries))
	h.number("rpm", j.RPM)
	h.number("tpm", j.TPM)
	h.field("continue_from", string(j.ContinueFrom))
	for _, key := range slices.Sorted(maps.Keys(j.Metadata)) {
		h.field("metadata."+key, j.Metadata[key])
	}
	h.field("webhook_url", j.WebhookURL)
	return [32]byte(h.Sum(nil))
}

type hashWriter struct{ hash.Hash }

func (h hashWriter) number(name string, n int) {
	if n != 0 {
		h.field(name, strconv.Itoa(n))
	}
}

// field adds one field; an empty value is none, but for a metadata entry, whose
// key alone says something.
func (h hashWriter) field(name, value string) {
	if value == "" && !isMetadata(name) {
		return
	}
	for _, text := range []string{name, value} {
		h.Write(binary.AppendUvarint(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
}

func isMetadata(name string) bool { return len(name) > 9 && name[:9] == "metadata." }
