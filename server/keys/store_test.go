package keys_test

import (
	"context"

	"github.com/promptforge/promptforge/storage"
)

// faulty is a store that answers nothing once fail is set, and for which the
// next ids are taken.
type faulty struct {
	storage.Keys
	fail  error
	taken int
}

func (f *faulty) CreateKey(ctx context.Context, k storage.Key) error {
	if f.taken > 0 {
		f.taken--
		return storage.ErrExists
	}
	if f.fail != nil {
		return f.fail
	}
	return f.Keys.CreateKey(ctx, k)
}

func (f *faulty) Key(ctx context.Context, id string) (storage.Key, error) {
	if f.fail != nil {
		return storage.Key{}, f.fail
	}
	return f.Keys.Key(ctx, id)
}
