// Package admin is how the operator's commands reach a running server:
// HTTP/JSON over a unix socket in the data folder, which only the server's own
// user can open. The same verbs work on an open store when no server runs.
package admin

import (
	"context"
	"errors"
	"time"

	"github.com/promptforge/promptforge/server/keys"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// SocketName is the socket's name in the data folder.
const SocketName = "admin.sock"

// Keys is what an operator does with API keys. Errors are problems with a
// sentence for the operator.
type Keys interface {
	// CreateKey makes a key. plain is the key itself, shown this once.
	CreateKey(ctx context.Context, client string) (plain string, key storage.Key, err error)
	// ListKeys lists all keys, revoked ones too, oldest first, without their
	// hashes.
	ListKeys(ctx context.Context) ([]storage.Key, error)
	// RevokeKey makes a key refused from now on; NotFound if there is none of
	// that id. Revoking it again changes nothing.
	RevokeKey(ctx context.Context, id string) error
}

// Local is Keys on an open store.
type Local struct {
	Store storage.Keys
	Now   func() time.Time // nil: time.Now
}

var _ Keys = Local{}

func (l Local) now() time.Time {
	if l.Now == nil {
		return time.Now().UTC()
	}
	return l.Now().UTC()
}

// CreateKey makes a key.
func (l Local) CreateKey(ctx context.Context, client string) (string, storage.Key, error) {
	return keys.Issue(ctx, l.Store, client, l.now())
}

// ListKeys lists all keys.
func (l Local) ListKeys(ctx context.Context) ([]storage.Key, error) {
	list, err := l.Store.ListKeys(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	for i := range list {
		list[i].SHA256 = [32]byte{}
	}
	return list, nil
}

// RevokeKey revokes a key.
func (l Local) RevokeKey(ctx context.Context, id string) error {
	err := l.Store.RevokeKey(ctx, id, l.now())
	if errors.Is(err, storage.ErrNotFound) {
		return problem.New(problem.NotFound, "There is no key with this id; promptforge keys list shows them.").Because(err)
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(err error) error {
	return problem.New(problem.Unavailable, "The store cannot answer now; repeating the command is safe.").Because(err)
}
