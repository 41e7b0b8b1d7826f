package admin_test

import (
	"context"
	"errors"
	"time"

	"github.com/promptforge/promptforge/storage"
)

// broken is a store that answers nothing.
type broken struct{ storage.Keys }

func (*broken) CreateKey(context.Context, storage.Key) error { return errFire }

func (*broken) ListKeys(context.Context) ([]storage.Key, error) { return nil, errFire }

func (*broken) RevokeKey(context.Context, string, time.Time) error { return errFire }

var errFire = errors.New("disk on fire")
