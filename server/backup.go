package server

import (
	"context"
	"errors"

	"github.com/promptforge/promptforge/storage/backup"
)

// backup copies the data folder. Nothing that the store names is removed
// meanwhile.
func (s *Server) backup(ctx context.Context, dir string) (backup.Copied, error) {
	store, ok := s.cfg.Store.(backup.Snapshotter)
	if !ok {
		return backup.Copied{}, errors.New("this store is backed up by its own means")
	}
	s.removing.Lock()
	defer s.removing.Unlock()
	return backup.Copy(ctx, store, s.cfg.Files, dir)
}
