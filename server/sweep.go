package server

import (
	"context"
	"time"

	"github.com/promptforge/promptforge/storage/erase"
)

const (
	expireEvery  = 30 * time.Second
	promoteEvery = 5 * time.Second
	orphansEvery = time.Hour
	orphansAgain = time.Minute // after the look at the start, which takes nothing
)

// sweep looks after what no call does, until ctx is done.
func (s *Server) sweep(ctx context.Context) {
	expire, promote := time.NewTicker(expireEvery), time.NewTicker(promoteEvery)
	defer expire.Stop()
	defer promote.Stop()
	orphans := time.NewTimer(orphansAgain)
	defer orphans.Stop()
	s.removeOrphans(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-expire.C:
			s.expireUploads(ctx)
		case <-promote.C:
			s.promote(ctx)
		case <-orphans.C:
			s.removeOrphans(ctx)
			orphans.Reset(orphansEvery)
		}
	}
}

// removeOrphans removes old files that no job names.
func (s *Server) removeOrphans(ctx context.Context) {
	n, err := s.orphans.Sweep(ctx, s.cfg.Now().Add(-erase.OrphanAge))
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.cfg.Log.Error("the sweep of files that no job names failed; it is tried again", "error", err)
	}
	if n > 0 {
		s.cfg.Log.Info("old files were removed that no job names", "files", n)
	}
}

// expireUploads cancels the jobs whose last upload URL expired unused.
func (s *Server) expireUploads(ctx context.Context) {
	n, err := s.cfg.Store.ExpireUploads(ctx, s.cfg.Now().UTC(), s.transfers.Busy)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.cfg.Log.Error("the sweep of expired uploads failed; it is tried again", "error", err)
	case n > 0:
		s.cfg.Log.Info("jobs were cancelled whose upload URL expired unused", "jobs", n)
	}
}

// promote makes good on promotions that were missed.
func (s *Server) promote(ctx context.Context) {
	n, err := s.cfg.Store.Promote(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.cfg.Log.Error("the sweep of missed promotions failed; it is tried again", "error", err)
	case n > 0:
		s.cfg.Log.Error("jobs were promoted late: a bug, please report it", "jobs", n)
	}
}
