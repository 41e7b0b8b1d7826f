package server

import (
	"context"
	"time"
)

const (
	expireEvery  = 30 * time.Second
	promoteEvery = 5 * time.Second
)

// sweep looks after what no call does, until ctx is done.
func (s *Server) sweep(ctx context.Context) {
	expire, promote := time.NewTicker(expireEvery), time.NewTicker(promoteEvery)
	defer expire.Stop()
	defer promote.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-expire.C:
			s.expireUploads(ctx)
		case <-promote.C:
			s.promote(ctx)
		}
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
