package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/keys"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// revoke revokes a key by its plain text.
func (e *env) revoke(key string) {
	e.t.Helper()
	must(e.t, e.store.RevokeKey(e.ctx(), strings.Split(key, "_")[1], testNow))
}

// TestRevocationEndsStreams: each kind of stream ends soon after its key is
// revoked, whatever it waits for, and those of the client's other key go on.
func TestRevocationEndsStreams(t *testing.T) {
	e := start(t)
	id := e.claimed(3)
	e.record(id, 1, 1)
	other := e.issue("acme")
	awaiting := e.init().GetJobId()

	watchOf := func(key string) grpc.ServerStreamingClient[promptforgev1.WatchJobResponse] {
		watch, err := e.api.WatchJob(e.as(key), &promptforgev1.WatchJobRequest{JobId: string(id)})
		must(t, err)
		_, err = watch.Recv()
		must(t, err)
		return watch
	}
	watch, kept := watchOf(e.key), watchOf(other)
	results, err := e.api.StreamResults(e.as(e.key), &promptforgev1.StreamResultsRequest{JobId: string(id)})
	must(t, err)
	_, err = results.Recv()
	must(t, err)
	upload, err := e.api.UploadPrompts(e.as(e.key))
	must(t, err)
	must(t, upload.Send(&promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_JobId{JobId: awaiting}}))
	must(t, upload.Send(&promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_Data{Data: []byte(prompts(1))}}))
	events := e.events(id)
	defer events.close()
	if _, _, ok := events.next(); !ok {
		t.Fatal("no event came")
	}

	begin := time.Now()
	e.revoke(e.key)
	_, err = watch.Recv()
	checkGRPC(t, problem.Unauthenticated, err)
	_, err = results.Recv()
	checkGRPC(t, problem.Unauthenticated, err)
	if err := upload.RecvMsg(&promptforgev1.UploadPromptsResponse{}); err == nil {
		t.Error("the upload was answered")
	} else {
		checkGRPC(t, problem.Unauthenticated, err)
	}
	if _, data, ok := events.next(); ok {
		t.Errorf("an event came after the revocation: %s", data)
	}
	if took := time.Since(begin); took > 5*keyInterval { // a loaded machine is slow
		t.Errorf("the last stream ended %s after the revocation", took)
	}
	if again := e.events(id); again.resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a browser that connects again gets %d", again.resp.StatusCode)
	} else {
		again.close()
	}
	if j, err := e.store.Job(e.ctx(), "acme", job.ID(awaiting)); err != nil || j.Status != job.AwaitingUpload {
		t.Errorf("after the upload was cut the job is %v, %v", j, err)
	}
	e.record(id, 2, 3)
	e.finish(id, job.Completed, "")
	for {
		m, err := kept.Recv()
		must(t, err)
		if m.GetSettled() {
			break
		}
	}
}

// oneKey is a store that holds one key, and counts how often it is asked.
type oneKey struct {
	storage.Keys
	key     storage.Key
	asked   atomic.Int64
	revoked atomic.Bool
	away    atomic.Bool
}

func (o *oneKey) CreateKey(_ context.Context, k storage.Key) error { o.key = k; return nil }

func (o *oneKey) Key(context.Context, string) (storage.Key, error) {
	o.asked.Add(1)
	if o.away.Load() {
		return storage.Key{}, errors.New("the database is away")
	}
	k := o.key
	if o.revoked.Load() {
		k.RevokedAt = testNow
	}
	return k, nil
}

// serverStream is a stream that nothing moves on.
type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s serverStream) Context() context.Context { return s.ctx }
func (serverStream) SendMsg(any) error          { return nil }

// TestKeyIsAskedOncePerInterval: however many streams it has; a store that is
// away ends none, and the last stream ends the asking.
func TestKeyIsAskedOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &oneKey{}
		plain, _, err := keys.Issue(t.Context(), store, "acme", testNow)
		must(t, err)
		w := newKeyWatch(store)
		const streams = 100
		ended := make(chan error, streams)
		for range streams {
			go func() {
				ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(apiKeyMetadata, plain))
				ended <- w.stream(nil, serverStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: "/a/B"}, func(_ any, ss grpc.ServerStream) error {
					<-ss.Context().Done()
					return errors.Join(ss.Context().Err(), ss.SendMsg(nil))
				})
			}()
		}
		time.Sleep(10*keyInterval + keyInterval/2) // the bubble's, which passes at once
		if n := store.asked.Load(); n != 10 {
			t.Errorf("asked %d times in 10 intervals", n)
		}
		store.away.Store(true)
		time.Sleep(10 * keyInterval)
		if len(ended) != 0 {
			t.Errorf("%d streams ended while the store was away", len(ended))
		}
		store.away.Store(false)
		store.revoked.Store(true)
		begin := time.Now()
		for range streams {
			if err := <-ended; problem.From(err).Kind != problem.Unauthenticated {
				t.Errorf("a stream ended with %v", err)
			}
		}
		if took := time.Since(begin); took > keyInterval {
			t.Errorf("it took %s", took)
		}
		asked := store.asked.Load()
		time.Sleep(10 * keyInterval)
		if len(w.keys) != 0 || store.asked.Load() != asked {
			t.Error("a key without streams is watched still")
		}
	})
}
