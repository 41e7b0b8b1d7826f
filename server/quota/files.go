package quota

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/promptforge/promptforge/storage"
)

// Files are files of a client that may write left bytes, of all of them
// together, and is refused by the write that goes beyond.
func (k *Keeper) Files(ctx context.Context, name string, files storage.Files) (storage.Files, error) {
	left, err := k.Left(ctx, name)
	if err != nil || left == math.MaxInt64 {
		return files, err
	}
	m := &measured{Files: files, refusal: func() error {
		limits, err := k.Limits(ctx, name)
		if err != nil {
			return err
		}
		return full(limits.Bytes)
	}}
	m.left.Store(left)
	return m, nil
}

type measured struct {
	storage.Files
	left    atomic.Int64
	refusal func() error
}

func (m *measured) Create(ctx context.Context, name string) (storage.NewFile, error) {
	f, err := m.Files.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	return &measuredFile{f, m}, nil
}

type measuredFile struct {
	storage.NewFile
	of *measured
}

func (f *measuredFile) Write(p []byte) (int, error) {
	if f.of.left.Add(-int64(len(p))) < 0 {
		return 0, f.of.refusal()
	}
	return f.NewFile.Write(p)
}
