package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
)

// Serve serves until ctx is done, or until one of the listeners dies; then it
// stops everything: health says NOT_SERVING (unless BeginDrain did), streams of running jobs end with
// UNAVAILABLE, HTTP and then gRPC take nothing new and finish what they have,
// and what has not ended after Config.DrainTimeout is cut. When Serve returns
// no handler runs any more, so that the store can be closed. It returns the
// first real error, nil after an ordinary stop, and is called once.
func (s *Server) Serve(ctx context.Context) error {
	// Work of the listeners and the sweeper; it ends when ctx does, and when
	// one of them fails.
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return s.serveHTTP() })
	group.Go(func() error { return ignoreClosed(s.grpc.Serve(s.grpcListener), "--grpc-addr") })
	if s.adminListener != nil {
		group.Go(func() error { return ignoreClosed(s.admin.Serve(s.adminListener), "the admin socket") })
	}
	group.Go(func() error { s.sweep(running); return nil })
	group.Go(func() error { s.erase(running); return nil })
	group.Go(func() error { s.webhooks.Run(running); return nil })
	s.warnPlain()
	s.cfg.Log.Info("serving", "http", s.HTTPAddr(), "grpc", s.GRPCAddr(), "url", s.publicURL(), "version", s.cfg.Version)
	<-running.Done()
	stopErr := s.stop()
	if err := group.Wait(); err != nil {
		return err
	}
	return stopErr
}

func (s *Server) serveHTTP() error {
	if s.http.TLSConfig != nil {
		return ignoreClosed(s.http.ServeTLS(s.httpListener, "", ""), "--http-addr")
	}
	return ignoreClosed(s.http.Serve(s.httpListener), "--http-addr")
}

// ignoreClosed is nil for what a server returns when it was told to stop.
func ignoreClosed(err error, what string) error {
	if err == nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", what, err)
}

// BeginDrain tells those who ask, gRPC health and /readyz, that the server is
// about to stop, so that they send new work elsewhere. It goes on answering
// everything until Serve is told to stop.
func (s *Server) BeginDrain() {
	s.leaving.Store(true)
	s.health.Shutdown()
}

// stop stops everything within Config.DrainTimeout.
func (s *Server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.DrainTimeout)
	defer cancel()
	begin := time.Now()
	s.BeginDrain()
	s.beginStopping()
	cut := s.stopHTTP(ctx)
	s.endHealth()
	cut = s.stopGRPC(ctx) || cut
	s.front.running.Wait()
	err := s.closeListeners()
	if cut {
		s.cfg.Log.Warn("stopped; calls that did not end in time were cut", "duration", time.Since(begin))
	} else {
		s.cfg.Log.Info("stopped", "duration", time.Since(begin))
	}
	return err
}

// stopHTTP reports whether it had to cut requests.
func (s *Server) stopHTTP(ctx context.Context) (cut bool) {
	for _, server := range []*http.Server{s.http, s.admin} {
		if server.Shutdown(ctx) == nil {
			continue
		}
		cut = true
		server.Close() //nolint:errcheck // the listeners are closed once more, with their errors, at the end
	}
	return cut
}

// stopGRPC reports whether it had to cut calls.
func (s *Server) stopGRPC(ctx context.Context) (cut bool) {
	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		s.grpc.GracefulStop()
	}()
	select {
	case <-graceful:
		return false
	case <-ctx.Done():
		s.grpc.Stop()
		<-graceful
		return true
	}
}
