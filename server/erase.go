package server

import (
	"context"
	"time"
)

const (
	retentionEvery = time.Minute
	eraseRetry     = 5 * time.Second
)

// erase removes what deleted jobs left on the disk, as soon as they are
// settled, until ctx is done.
func (s *Server) erase(ctx context.Context) {
	changed, stop := s.cfg.Store.Watch("")
	defer stop()
	retention := time.NewTicker(retentionEvery)
	defer retention.Stop()
	for {
		var again <-chan time.Time
		if err := s.eraseDoomed(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("deleted jobs could not be erased; it is tried again", "error", err)
			again = time.After(eraseRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again:
		case <-retention.C:
			s.expireJobs(ctx)
		}
	}
}

// eraseDoomed erases jobs one at a time, since two that share a file must not
// both leave it to the other.
func (s *Server) eraseDoomed(ctx context.Context) error {
	for {
		doomed, err := s.cfg.Store.Doomed(ctx, 1)
		if err != nil || len(doomed) == 0 {
			return err
		}
		for _, name := range doomed[0].Files {
			if err := s.cfg.Files.Remove(ctx, name); err != nil {
				return err
			}
		}
		if err := s.cfg.Store.Erase(ctx, doomed[0].ID); err != nil {
			return err
		}
		s.cfg.Log.Info("a job was erased", "job", doomed[0].ID)
	}
}

// expireJobs deletes the jobs whose retention is over.
func (s *Server) expireJobs(ctx context.Context) {
	n, err := s.cfg.Store.ExpireJobs(ctx, s.cfg.Now().UTC().Add(-s.cfg.Retention))
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.cfg.Log.Error("the sweep of old jobs failed; it is tried again", "error", err)
	case n > 0:
		s.cfg.Log.Info("jobs are deleted whose retention is over", "jobs", n)
	}
}
