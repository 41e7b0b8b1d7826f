package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
)

// delivery is a request as the receiver got it.
type delivery struct {
	host, id, signature string
	at                  time.Time
	body                string
}

// receiver is who the webhooks go to.
type receiver struct {
	mu     sync.Mutex
	answer func(n int, d delivery) (status int, err error)
	got    []delivery
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	seconds, err := strconv.ParseInt(req.Header.Get("Webhook-Timestamp"), 10, 64)
	if err != nil {
		return nil, err
	}
	d := delivery{req.Host, req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Signature"), time.Unix(seconds, 0), string(body)}
	r.mu.Lock()
	r.got = append(r.got, d)
	n := len(r.got)
	r.mu.Unlock()
	status, err := r.answer(n, d)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("")), Header: http.Header{}}, nil
}

func (r *receiver) all() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]delivery(nil), r.got...)
}

// bench is a store with a sender on it, in virtual time.
type bench struct {
	*testing.T
	store *bolt.Store
	to    *receiver
	log   *bytes.Buffer
}

func virtual(t *testing.T, answer func(n int, d delivery) (int, error), test func(b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store, err := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t, store, &receiver{answer: answer}, &bytes.Buffer{}}
		test(b)
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// run runs a sender until stop is called.
func (b *bench) run() (stop func()) { return b.runOn(b.store) }

func (b *bench) runOn(store Store) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	s := NewSender(Config{
		Store: store, Body: func(j *job.Job) ([]byte, error) { return []byte(`{"id":"` + string(j.ID) + `"}`), nil },
		Now: time.Now, Log: slog.New(slog.NewTextHandler(b.log, nil)), UserAgent: "test", Transport: b.to,
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// settled makes a job that owes its webhook.
func (b *bench) settled(url string) job.ID {
	b.Helper()
	j, _, err := b.store.CreateJob(b.Context(), &job.Job{
		ID: job.NewID(), Client: "alice", Provider: "openai", Model: "m", WebhookURL: url,
		CreatedAt: time.Now(), UploadExpiresAt: time.Now().Add(time.Hour),
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.store.Cancel(b.Context(), "alice", j.ID, time.Now()); err != nil {
		b.Fatal(err)
	}
	return j.ID
}

func (b *bench) delivery(id job.ID) job.Delivery {
	b.Helper()
	j, err := b.store.Job(b.Context(), "alice", id)
	if err != nil {
		b.Fatal(err)
	}
	return j.Delivery
}

const hook = "https://hook.example.com/"

func TestDelivery(t *testing.T) {
	virtual(t, func(int, delivery) (int, error) { return 204, nil }, func(b *bench) {
		earlier := b.settled(hook)
		defer b.run()()
		id := b.settled(hook)
		synctest.Wait()
		got := b.to.all()
		if len(got) != 2 {
			b.Fatalf("%d deliveries", len(got))
		}
		secrets, err := b.store.WebhookSecrets(b.Context(), "alice", time.Now())
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range got {
			if want := signature(secrets[0], d); d.signature != want || d.host != "hook.example.com" {
				b.Errorf("signed %q, want %q", d.signature, want)
			}
		}
		for _, id := range []job.ID{earlier, id} {
			if d := b.delivery(id); d != (job.Delivery{State: job.Delivered, Attempts: 1}) {
				b.Errorf("%+v", d)
			}
		}
		if got[0].id == got[1].id || !strings.Contains(got[1].id, string(id)) {
			b.Errorf("the ids are %s and %s", got[0].id, got[1].id)
		}
	})
}

// signature is computed as a receiver does it.
func signature(secret []byte, d delivery) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%d.%s", d.id, d.at.Unix(), d.body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// TestReceiverDownForAnHour: it gets its delivery afterwards, with the id that
// all attempts had, and is not hammered meanwhile.
func TestReceiverDownForAnHour(t *testing.T) {
	var up time.Time
	virtual(t, func(n int, _ delivery) (int, error) {
		switch {
		case !time.Now().Before(up):
			return 200, nil
		case n%2 == 0:
			return 0, errors.New("connection reset by the secret peer 10.9.8.7")
		default:
			return 503, nil
		}
	}, func(b *bench) {
		up = time.Now().Add(time.Hour)
		id := b.settled(hook)
		defer b.run()()
		time.Sleep(2 * time.Minute) // the bubble's
		synctest.Wait()
		if d := b.delivery(id); d.State != job.DeliveryOwed || d.Error == "" || !d.Due.After(time.Now()) {
			b.Errorf("after two minutes: %+v", d)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		got := b.to.all()
		if d := b.delivery(id); d.State != job.Delivered || d.Attempts != len(got) || d.Error != "" {
			b.Errorf("afterwards: %+v", d)
		}
		if n := len(got); n < 5 || n > 30 {
			b.Errorf("%d attempts", n)
		}
		for _, d := range got {
			if d.id != got[0].id {
				b.Errorf("an attempt has another id: %s and %s", d.id, got[0].id)
			}
		}
		if strings.Contains(b.log.String(), "10.9.8.7") {
			b.Error("the log has what is not ours to tell")
		}
	})
}

// TestReceiverDownForGood: after a day it is given up, which the job shows.
func TestReceiverDownForGood(t *testing.T) {
	virtual(t, func(int, delivery) (int, error) { return 500, nil }, func(b *bench) {
		id := b.settled(hook)
		begun := time.Now()
		stop := b.run()
		time.Sleep(GiveUpAfter - time.Minute)
		synctest.Wait()
		if d := b.delivery(id); d.State != job.DeliveryOwed {
			b.Errorf("within the day: %+v", d)
		}
		stop()
		defer b.run()() // over a restart
		time.Sleep(time.Hour)
		synctest.Wait()
		d, got := b.delivery(id), b.to.all()
		if d.State != job.DeliveryGivenUp || d.Error != "The receiver did not take it: it answered 500; 2xx takes the delivery." || d.Attempts != len(got) {
			b.Errorf("%+v after %d attempts", d, len(got))
		}
		if last := got[len(got)-1].at.Sub(begun); last < GiveUpAfter-time.Second || last > GiveUpAfter+time.Second {
			b.Errorf("the last attempt was after %s", last)
		}
	})
}

// TestSlowReceiver: one receiver that answers nothing holds up no other.
func TestSlowReceiver(t *testing.T) {
	virtual(t, func(_ int, d delivery) (int, error) {
		if d.host == "slow.example.com" {
			time.Sleep(attemptTimeout)
			return 0, context.DeadlineExceeded
		}
		return 200, nil
	}, func(b *bench) {
		var slow []job.ID
		for range 3 * atOnce {
			slow = append(slow, b.settled("https://slow.example.com/"))
		}
		defer b.run()()
		quick := b.settled(hook)
		synctest.Wait()
		if d := b.delivery(quick); d.State != job.Delivered {
			b.Errorf("%+v", d)
		}
		time.Sleep(attemptTimeout * (3*atOnce/perHost + 1))
		synctest.Wait()
		for _, id := range slow {
			if d := b.delivery(id); d.Attempts == 0 || !strings.Contains(d.Error, "in time") {
				b.Fatalf("%+v", d)
			}
		}
	})
}

// counted is a store that counts the jobs that are decoded to be delivered.
type counted struct {
	Store
	decoded atomic.Int64
}

func (s *counted) OwedDeliveries(ctx context.Context, host string, at time.Time, limit int) ([]*job.Job, time.Time, error) {
	due, next, err := s.Store.OwedDeliveries(ctx, host, at, limit)
	s.decoded.Add(int64(len(due)))
	return due, next, err
}

// TestManyOwed: to receivers that are down, with much owed, no delivery costs
// more than when little is owed, and nobody else waits for them.
func TestManyOwed(t *testing.T) {
	const each, down = 100, atOnce/perHost + 1 // more than can be tried at once
	virtual(t, func(_ int, d delivery) (int, error) {
		if strings.HasPrefix(d.host, "down") {
			time.Sleep(attemptTimeout)
			return 0, context.DeadlineExceeded
		}
		return 200, nil
	}, func(b *bench) {
		for n := range each * down {
			b.settled(fmt.Sprintf("https://down%d.example.com/", n%down))
		}
		s := &counted{Store: b.store}
		defer b.runOn(s)()
		quick := b.settled(hook)
		const rounds = 20
		time.Sleep(rounds * attemptTimeout) // the bubble's
		synctest.Wait()
		if d := b.delivery(quick); d.State != job.Delivered {
			b.Errorf("%+v", d)
		}
		attempts := int64(len(b.to.all()))
		if decoded := s.decoded.Load(); attempts < (rounds-1)*atOnce || decoded > perHost*attempts {
			b.Errorf("%d jobs were decoded for %d attempts", decoded, attempts)
		}
		asked := map[string]int{}
		for _, d := range b.to.all() {
			asked[d.host]++
		}
		for host, n := range asked {
			if host != "hook.example.com" && n < rounds*atOnce/down/2 {
				b.Errorf("%s was asked %d times of %d", host, n, attempts)
			}
		}
	})
}

// TestSenderStoreFails: what cannot be read is tried again.
func TestSenderStoreFails(t *testing.T) {
	for _, of := range []string{"hosts", "deliveries"} {
		virtual(t, func(int, delivery) (int, error) { return 200, nil }, func(b *bench) {
			id := b.settled(hook)
			s := &failing{Store: b.store, of: of}
			s.left.Store(2)
			defer b.runOn(s)()
			time.Sleep(2*storeRetry + time.Second)
			synctest.Wait()
			if d := b.delivery(id); d.State != job.Delivered || strings.Count(b.log.String(), "could not be read") != 2 {
				b.Errorf("%s: %+v %s", of, d, b.log)
			}
		})
	}
}

// failing is a store that fails a few times.
type failing struct {
	Store
	of   string
	left atomic.Int64
}

func (s *failing) fails(of string) error {
	if of == s.of && s.left.Add(-1) >= 0 {
		return errors.New("odd")
	}
	return nil
}

func (s *failing) OwedHosts(ctx context.Context) ([]storage.OwedHost, error) {
	if err := s.fails("hosts"); err != nil {
		return nil, err
	}
	return s.Store.OwedHosts(ctx)
}

func (s *failing) OwedDeliveries(ctx context.Context, host string, at time.Time, limit int) ([]*job.Job, time.Time, error) {
	if err := s.fails("deliveries"); err != nil {
		return nil, time.Time{}, err
	}
	return s.Store.OwedDeliveries(ctx, host, at, limit)
}

// TestStoppedDelivery: what was under way at a stop is owed as before.
func TestStoppedDelivery(t *testing.T) {
	hang := make(chan struct{})
	virtual(t, func(n int, _ delivery) (int, error) {
		if n == 1 {
			<-hang
			return 0, context.Canceled
		}
		return 200, nil
	}, func(b *bench) {
		hang = make(chan struct{})
		id := b.settled(hook)
		stop := b.run()
		synctest.Wait()
		go close(hang)
		stop()
		if d := b.delivery(id); d.State != job.DeliveryOwed || d.Attempts != 0 {
			b.Errorf("%+v", d)
		}
		defer b.run()()
		synctest.Wait()
		if d := b.delivery(id); d.State != job.Delivered || len(b.to.all()) != 2 {
			b.Errorf("%+v", d)
		}
	})
}

// TestNotAllowedAnyMore: a URL that was allowed when the job was made, and is
// inside now, is not asked.
func TestNotAllowedAnyMore(t *testing.T) {
	virtual(t, func(int, delivery) (int, error) { return 200, nil }, func(b *bench) {
		id := b.settled("https://127.0.0.1/")
		defer b.run()()
		synctest.Wait()
		if d := b.delivery(id); d.State != job.DeliveryOwed || !strings.Contains(d.Error, "internal address") || len(b.to.all()) != 0 {
			b.Errorf("%+v", d)
		}
	})
}

// TestRotation: for a while both secrets sign.
func TestRotation(t *testing.T) {
	virtual(t, func(int, delivery) (int, error) { return 200, nil }, func(b *bench) {
		defer b.run()()
		secrets, err := b.store.WebhookSecrets(b.Context(), "alice", time.Now())
		if err != nil {
			b.Fatal(err)
		}
		both, err := b.store.RotateWebhookSecret(b.Context(), "alice", time.Now(), time.Now().Add(SecretOverlap))
		if err != nil {
			b.Fatal(err)
		}
		b.settled(hook)
		synctest.Wait()
		d := b.to.all()[0]
		if want := signature(both[0], d) + " " + signature(secrets[0], d); d.signature != want {
			b.Errorf("signed %q, want %q", d.signature, want)
		}
		time.Sleep(SecretOverlap)
		b.settled(hook)
		synctest.Wait()
		d = b.to.all()[1]
		if want := signature(both[0], d); d.signature != want {
			b.Errorf("a day later signed %q, want %q", d.signature, want)
		}
	})
}

func TestSecretText(t *testing.T) {
	if got := SecretText([]byte{1, 2, 3}); got != "whsec_AQID" {
		t.Error(got)
	}
}
