package quota

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

var begin = time.Date(2024, 1, 15, 10, 15, 0, 0, time.UTC)

func TestBucket(t *testing.T) {
	for _, n := range []float64{MinRequestsPerSecond, 0.5, 1, 2.5, 10, 333, MaxRequestsPerSecond} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var b bucket
			r := perSecond(n)
			burst := min(r.burst, 5000)
			r.burst = burst
			for i := range burst {
				if wait := b.take(begin, r); wait != 0 {
					t.Fatalf("request %d of %d must wait %v", i+1, burst, wait)
				}
			}
			wait := b.take(begin, r)
			if wait <= 0 || wait > r.every {
				t.Fatalf("one too many must wait %v", wait)
			}
			if b.take(begin.Add(wait-1), r) == 0 {
				t.Error("it passes too early")
			}
			if b.take(begin.Add(wait), r) != 0 {
				t.Error("it is refused after the wait")
			}
			if b.take(begin.Add(wait), r) == 0 {
				t.Error("two pass after the wait for one")
			}
		})
	}
}

// However a bucket is asked, in any stretch of time it gives no more than its
// burst and what came in meanwhile.
func TestBucketNeverGivesTooMuch(t *testing.T) {
	var b bucket
	r := perSecond(10)
	given := 0
	for ms := range 30_000 {
		if b.take(begin.Add(time.Duration(ms)*time.Millisecond), r) == 0 {
			given++
		}
	}
	if want := 10 + 10*30 - 1; given < want || given > want+1 {
		t.Errorf("it gave %d, want %d", given, want)
	}
}

func TestBucketWhoseRateOrClockChanges(t *testing.T) {
	var b bucket
	for range 5 {
		b.take(begin, rate{time.Hour, 5})
	}
	if wait := b.take(begin, perSecond(1)); wait > time.Second {
		t.Errorf("at the new rate it waits %v", wait)
	}
	if wait := b.take(begin.Add(-time.Hour), perSecond(1)); wait > time.Second {
		t.Errorf("after the clock was set back it waits %v", wait)
	}
}

// memory is a Store.
type memory struct {
	mu     sync.Mutex
	quotas map[string]storage.Quota
	usage  storage.Usage
	err    error
	asked  int
}

func (m *memory) Quota(_ context.Context, client string) (storage.Quota, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	q, ok := m.quotas[client]
	if m.err == nil && !ok {
		return q, storage.ErrNotFound
	}
	return q, m.err
}

func (m *memory) Usage(context.Context, string) (storage.Usage, error) { return m.usage, nil }

func TestPrecedence(t *testing.T) {
	now := begin
	store := &memory{quotas: map[string]storage.Quota{"a": {Uploads: new(7), Streams: new(0)}, "b": {Uploads: new(8)}}}
	k := NewKeeper(Config{
		Store: store, Now: func() time.Time { return now },
		Limits:  Limits{RequestsPerSecond: 1, OpenJobs: 2, Uploads: 3, Streams: 4, Bytes: 5},
		Clients: map[string]storage.Quota{"a": {OpenJobs: new(20), Uploads: new(30), Streams: new(40)}},
	})
	is := func(client string, want Limits) {
		t.Helper()
		if got, err := k.Limits(t.Context(), client); err != nil || got != want {
			t.Errorf("%s has %+v, %v; want %+v", client, got, err, want)
		}
	}
	is("a", Limits{RequestsPerSecond: 1, OpenJobs: 20, Uploads: 7, Streams: 0, Bytes: 5})
	is("b", Limits{RequestsPerSecond: 1, OpenJobs: 2, Uploads: 8, Streams: 4, Bytes: 5})
	is("c", Limits{RequestsPerSecond: 1, OpenJobs: 2, Uploads: 3, Streams: 4, Bytes: 5})
	is("c", Limits{RequestsPerSecond: 1, OpenJobs: 2, Uploads: 3, Streams: 4, Bytes: 5})
	if store.asked != 3 {
		t.Errorf("the store was asked %d times", store.asked)
	}
	store.quotas["c"] = storage.Quota{Bytes: new(int64(50))}
	now = now.Add(time.Second)
	is("c", Limits{RequestsPerSecond: 1, OpenJobs: 2, Uploads: 3, Streams: 4, Bytes: 50})
	delete(store.quotas, "c")
	k.Forget("c")
	is("c", Limits{RequestsPerSecond: 1, OpenJobs: 2, Uploads: 3, Streams: 4, Bytes: 5})
	store.err = errors.New("disk")
	now = now.Add(-time.Hour)
	if _, err := k.Limits(t.Context(), "c"); problem.From(err).Kind != problem.Unavailable {
		t.Errorf("a store that is away is %v", err)
	}
}

func refused(t *testing.T, err error, after time.Duration, sentence string) {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Kind != problem.QuotaExceeded || p.RetryAfter != after || p.Detail != sentence {
		t.Errorf("got %#v, want %q after %v", err, sentence, after)
	}
}

func TestKeeper(t *testing.T) {
	now := begin
	store := &memory{}
	k := NewKeeper(Config{Store: store, Now: func() time.Time { return now }, Limits: Limits{RequestsPerSecond: 0.4, OpenJobs: 2, Uploads: 1, Streams: 2, Bytes: 100}})
	ctx := t.Context()
	if err := k.Request(ctx, "a"); err != nil {
		t.Error(err)
	}
	refused(t, k.Request(ctx, "a"), 3*time.Second, "This client's quota of requests a second (0.4) is used up; try again in 3 s.")
	if err := k.Request(ctx, "b"); err != nil {
		t.Error(err)
	}
	now = now.Add(2500 * time.Millisecond)
	if err := k.Request(ctx, "a"); err != nil {
		t.Error(err)
	}

	end, err := k.Upload(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Upload(ctx, "a")
	refused(t, err, 5*time.Second, "This client's quota of uploads at once (1) is used up; try again in 5 s, or once one of them has ended.")
	end()
	end() // counts once
	if end, err = k.Upload(ctx, "a"); err != nil {
		t.Error(err)
	}
	if _, err := k.Upload(ctx, "a"); err == nil {
		t.Error("an upload that ended twice made room for two")
	}
	end()
	for range 2 {
		if _, err := k.Stream(ctx, "a"); err != nil {
			t.Error(err)
		}
	}
	_, err = k.Stream(ctx, "a")
	refused(t, err, 5*time.Second, "This client's quota of streams at once (2) is used up; try again in 5 s, or once one of them has ended.")

	store.usage = storage.Usage{Open: 2, Bytes: 40}
	_, err = k.Room(ctx, "a", 1, 0)
	refused(t, err, 10*time.Second, "This client's quota of open jobs (2) is used up; try again in 10 s, or once one of them is settled.")
	_, err = k.Room(ctx, "a", 0, 61)
	refused(t, err, time.Minute, "This client's quota of stored bytes (100) is used up; try again in 60 s, or once jobs of it are deleted.")
	release, err := k.Room(ctx, "a", 0, 60)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := k.Room(gone, "a", 0, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("room was given twice: %v", err)
	}
	if other, err := k.Room(ctx, "b", 0, 1); err != nil {
		t.Error(err)
	} else {
		other()
	}
	release()
	if left, err := k.Left(ctx, "a"); left != 60 || err != nil {
		t.Errorf("%d, %v are left", left, err)
	}
	store.usage.Bytes = 100
	_, err = k.Left(ctx, "a")
	refused(t, err, time.Minute, "This client's quota of stored bytes (100) is used up; try again in 60 s, or once jobs of it are deleted.")
}

func TestNoLimits(t *testing.T) {
	for _, k := range []*Keeper{nil, NewKeeper(Config{Store: &memory{usage: storage.Usage{Open: math.MaxInt, Bytes: math.MaxInt64}}})} {
		for range 1000 {
			_, err1 := k.Upload(t.Context(), "a")
			_, err2 := k.Stream(t.Context(), "a")
			_, err3 := k.Room(t.Context(), "a", 1, math.MaxInt64)
			_, err4 := k.Left(t.Context(), "a")
			if err := errors.Join(k.Request(t.Context(), "a"), err1, err2, err3, err4); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAddresses(t *testing.T) {
	a := NewAddresses(10)
	now := begin
	fails := func(from string, n int) {
		t.Helper()
		for range n {
			if err := a.Failed(netip.MustParseAddr(from), now); err != nil {
				t.Fatalf("%s: %v", from, err)
			}
		}
	}
	full := func(from string) {
		t.Helper()
		refused(t, a.Failed(netip.MustParseAddr(from), now), 6*time.Second,
			"The quota of failed authentications a minute from one address (10) is used up; try again in 6 s, or send a valid API key.")
	}
	fails("192.0.2.1", 10)
	fails("::ffff:192.0.2.1", 10) // the same address
	full("192.0.2.1")
	fails("192.0.2.2", 20)
	fails("2001:db8:0:1::1", 10)
	fails("2001:db8:0:1:ffff::2%eth0", 10)
	full("2001:db8:0:1::3")
	fails("2001:db8:0:2::1", 20)
	now = now.Add(6 * time.Second)
	fails("192.0.2.1", 1)
	full("192.0.2.1")
	if err := a.Failed(netip.Addr{}, now); err != nil {
		t.Error(err)
	}
	for range 50 {
		if err := NewAddresses(0).Failed(netip.MustParseAddr("192.0.2.1"), now); err != nil {
			t.Error(err)
		}
	}
}

func TestAddressesAreBounded(t *testing.T) {
	a := NewAddresses(1)
	first := netip.MustParseAddr("192.0.2.1")
	keep := func() {
		for range 3 {
			_ = a.Failed(first, begin)
		}
	}
	keep()
	from := netip.MustParseAddr("10.0.0.0")
	for i := range 3 * maxAddresses {
		if err := a.Failed(from, begin); err != nil {
			t.Fatal(err)
		}
		if from = from.Next(); i%1000 == 0 {
			keep()
		}
	}
	if len(a.known) != maxAddresses || a.recent.Len() != maxAddresses {
		t.Errorf("%d addresses are known, %d in order", len(a.known), a.recent.Len())
	}
	if a.Failed(first, begin) == nil {
		t.Error("an address that keeps failing was forgotten")
	}
	if err := a.Failed(netip.MustParseAddr("10.0.0.0"), begin); err != nil {
		t.Error(err)
	}
}

func TestValid(t *testing.T) {
	for _, q := range []storage.Quota{{}, {RequestsPerSecond: new(0.0), OpenJobs: new(0), Uploads: new(1), Streams: new(2), Bytes: new(int64(3))}, {RequestsPerSecond: new(0.001)}} {
		if !Valid(q) {
			t.Errorf("%+v is refused", q)
		}
	}
	for _, q := range []storage.Quota{
		{RequestsPerSecond: new(-1.0)},
		{RequestsPerSecond: new(math.NaN())},
		{RequestsPerSecond: new(math.Inf(1))},
		{RequestsPerSecond: new(0.0001)},
		{OpenJobs: new(-1)},
		{Uploads: new(-1)},
		{Streams: new(-1)},
		{Bytes: new(int64(-1))},
	} {
		if Valid(q) {
			t.Errorf("%+v is taken", q)
		}
	}
}

// Other limits hold from the next request on, and nobody waits for what a lower
// rate asked for.
func TestConfigure(t *testing.T) {
	k := NewKeeper(Config{Store: noStore{}, Limits: Limits{RequestsPerSecond: MinRequestsPerSecond}, Now: func() time.Time { return begin }})
	ctx := context.Background()
	if err := k.Request(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := k.Request(ctx, "a"); err == nil {
		t.Error("a second request passes")
	}
	rate := 100.0
	k.Configure(Limits{RequestsPerSecond: MinRequestsPerSecond}, map[string]storage.Quota{"a": {RequestsPerSecond: &rate}})
	for range 50 {
		if err := k.Request(ctx, "a"); err != nil {
			t.Fatalf("under the higher limit: %v", err)
		}
	}
	k.Configure(Limits{}, nil)
	for range 500 {
		if err := k.Request(ctx, "a"); err != nil {
			t.Fatalf("without a limit: %v", err)
		}
	}
}

// noStore has set no quota.
type noStore struct{ Store }

func (noStore) Quota(context.Context, string) (storage.Quota, error) {
	return storage.Quota{}, storage.ErrNotFound
}

// A clock that is set back, or a rate that was far lower, keeps nobody waiting
// for longer than a bucket takes to fill.
func TestBucketAfterALongWait(t *testing.T) {
	var b bucket
	b.take(begin.Add(time.Hour), perSecond(1))
	r := perSecond(10)
	wait := b.take(begin, r)
	if wait <= 0 || wait > r.every {
		t.Fatalf("it must wait %v", wait)
	}
	if again := b.take(begin.Add(wait), r); again != 0 {
		t.Errorf("after the wait it must wait another %v", again)
	}
}
