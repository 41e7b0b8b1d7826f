package server

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/quota"
)

// failures refuses addresses that send too many bad keys.
type failures struct {
	addresses atomic.Pointer[quota.Addresses] // of nil: there is no limit
	perMinute int
	now       func() time.Time
}

func newFailures(perMinute int, now func() time.Time) *failures {
	f := &failures{now: now}
	f.allow(perMinute)
	return f
}

// allow begins to count anew where the limit is another. One goroutine at a
// time calls it.
func (f *failures) allow(perMinute int) {
	if f.addresses.Load() == nil || perMinute != f.perMinute {
		f.perMinute = perMinute
		f.addresses.Store(quota.NewAddresses(perMinute))
	}
}

// count returns an authentication's error, or what takes its place. A key that
// is good is never refused here.
func (f *failures) count(from netip.Addr, err error) error {
	if err == nil || problem.From(err).Kind != problem.Unauthenticated {
		return err
	}
	if refused := f.addresses.Load().Failed(from, f.now()); refused != nil {
		return refused
	}
	return err
}

// peerAddress is where a gRPC connection comes from; the zero Addr for the
// gateway's.
func peerAddress(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return netip.Addr{}
	}
	return addressOf(p.Addr.String())
}

// addressOf is the address of a connection, and never what a header says: a
// caller writes its headers as it likes.
func addressOf(hostPort string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr()
}
