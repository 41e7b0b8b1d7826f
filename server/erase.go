package server

import (
	"context"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage/erase"
)

const (
	retentionEvery = time.Minute
	eraseRetry     = 5 * time.Second
	purgeWait      = 20 * time.Second // for what is in flight for a purged client
)

// erase removes what deleted jobs left on the disk, as soon as they are
// settled, and deletes jobs whose retention is over, until ctx is done.
func (s *Server) erase(ctx context.Context) {
	changed, stop := s.cfg.Store.Watch("")
	defer stop()
	retention := time.NewTicker(retentionEvery)
	defer retention.Stop()
	s.expireJobs(ctx)
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

// eraseDoomed is called by erase alone.
func (s *Server) eraseDoomed(ctx context.Context) error {
	s.removing.Lock()
	defer s.removing.Unlock()
	return erase.Doomed(ctx, s.cfg.Store, s.cfg.Files, func(id job.ID) {
		s.cfg.Log.Info("a job was erased", "job", id)
	})
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
