package server

import (
	"context"
	"net/netip"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/quota"
)

// failures refuses addresses that send too many bad keys.
type failures struct {
	addresses *quota.Addresses
	now       func() time.Time
}

// count returns an authentication's error, or what takes its place. A key that
// is good is never refused here.
func (f *failures) count(from netip.Addr, err error) error {
	if err == nil || problem.From(err).Kind != problem.Unauthenticated {
		return err
	}
	if refused := f.addresses.Failed(from, f.now()); refused != nil {
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
