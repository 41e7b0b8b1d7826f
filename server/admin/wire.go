package admin

import (
	"time"

	"github.com/promptforge/promptforge/storage"
)

// wireKey is a key as it travels over the socket.
type wireKey struct {
	ID        string     `json:"id"`
	Client    string     `json:"client"`
	CreatedAt time.Time  `json:"created_at"`
	RevokedAt *time.Time `json:"revoked_at"` // null while it is good
}

type createKeyRequest struct {
	Client string `json:"client"`
}

type createKeyResponse struct {
	Key   wireKey `json:"key"`
	Plain string  `json:"plain"`
}

type listKeysResponse struct {
	Keys []wireKey `json:"keys"`
}

func wireOf(k storage.Key) wireKey {
	w := wireKey{ID: k.ID, Client: k.Client, CreatedAt: k.CreatedAt}
	if k.Revoked() {
		w.RevokedAt = &k.RevokedAt
	}
	return w
}

func (w wireKey) key() storage.Key {
	k := storage.Key{ID: w.ID, Client: w.Client, CreatedAt: w.CreatedAt}
	if w.RevokedAt != nil {
		k.RevokedAt = *w.RevokedAt
	}
	return k
}
