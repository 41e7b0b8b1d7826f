package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/promptforge/promptforge/server/keys"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// keyInterval is how often the key of an open stream is looked up again.
const keyInterval = time.Second

// keyWatch ends the streams of a key that is revoked while they are open. It
// looks each key up once in an interval, however many streams it has.
type keyWatch struct {
	store storage.Keys
	mu    sync.Mutex
	keys  map[string]*watchedKey
}

// watchedKey is a key that has streams open.
type watchedKey struct {
	streams int             // under keyWatch.mu
	good    context.Context // ends, with the refusal as its cause, when the key does
	stop    context.CancelFunc
	stopped chan struct{}
}

func newKeyWatch(store storage.Keys) *keyWatch {
	return &keyWatch{store: store, keys: map[string]*watchedKey{}}
}

// stream is an interceptor; it comes after the one that authenticates.
func (w *keyWatch) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	given := metadata.ValueFromIncomingContext(ss.Context(), apiKeyMetadata)
	if isOpen(info.FullMethod) || len(given) != 1 {
		return handler(srv, ss)
	}
	key := w.hold(given[0])
	defer w.release(given[0], key)
	ctx, cancel := context.WithCancelCause(ss.Context())
	defer cancel(nil)
	defer context.AfterFunc(key.good, func() { cancel(context.Cause(key.good)) })()
	err := handler(srv, &keyedStream{ServerStream: ss, ctx: ctx, key: key})
	if err != nil && key.good.Err() != nil {
		return context.Cause(key.good)
	}
	return err
}

// keyedStream moves no message once its key is refused.
type keyedStream struct {
	grpc.ServerStream
	ctx context.Context
	key *watchedKey
}

func (s *keyedStream) Context() context.Context { return s.ctx }

func (s *keyedStream) SendMsg(m any) error {
	if s.key.good.Err() != nil {
		return context.Cause(s.key.good)
	}
	return s.ServerStream.SendMsg(m)
}

func (s *keyedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if s.key.good.Err() != nil {
		return context.Cause(s.key.good)
	}
	return nil
}

// hold adds a stream to a key, and begins to watch it with the first.
func (w *keyWatch) hold(plain string) *watchedKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := w.keys[plain]
	if key == nil {
		good, refuse := context.WithCancelCause(context.Background())
		ctx, stop := context.WithCancel(context.Background())
		key = &watchedKey{good: good, stop: stop, stopped: make(chan struct{})}
		w.keys[plain] = key
		go func() {
			defer close(key.stopped)
			w.watch(ctx, plain, refuse)
		}()
	}
	key.streams++
	return key
}

// release takes a stream off its key. After the last nothing of the key is
// asked of the store any more.
func (w *keyWatch) release(plain string, key *watchedKey) {
	w.mu.Lock()
	key.streams--
	last := key.streams == 0
	if last {
		delete(w.keys, plain)
	}
	w.mu.Unlock()
	if last {
		key.stop()
		<-key.stopped
	}
}

// watch looks a key up until it is refused, or ctx is done. A store that cannot
// answer is asked again: it has refused nothing.
func (w *keyWatch) watch(ctx context.Context, plain string, refuse context.CancelCauseFunc) {
	tick := time.NewTicker(keyInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		_, _, err := keys.Authenticate(ctx, w.store, plain)
		var p *problem.Problem
		if errors.As(err, &p) && p.Kind == problem.Unauthenticated {
			refuse(err)
			return
		}
	}
}
