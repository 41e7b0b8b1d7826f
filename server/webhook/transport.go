package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	// attemptTimeout is how long a receiver may take in all: it is meant to keep
	// the message and do its work later.
	attemptTimeout = 30 * time.Second
)

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// InsideError refuses an address that a webhook may not reach.
type InsideError struct{ Addr netip.Addr }

func (e *InsideError) Error() string {
	return fmt.Sprintf("it resolves to %s, which is an internal address", e.Addr)
}

// client makes the requests. It looks at the address that a connection is about
// to be made to, after every resolving, so that no name can lead elsewhere than
// it did when it was looked at.
func (a Allowed) client(roots *tls.Config, resolver *net.Resolver) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Resolver: resolver, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		return a.check(address)
	}}
	return &http.Client{
		Timeout: attemptTimeout,
		Transport: &http.Transport{
			Proxy:                  nil, // it would be the proxy's address that is looked at
			DialContext:            dialer.DialContext,
			TLSClientConfig:        roots,
			TLSHandshakeTimeout:    dialTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           0,
			DisableKeepAlives:      true, // an idle connection is of use to nobody for hours
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// check tells whether a webhook may go to an address with its port.
func (a Allowed) check(address string) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return errors.New("its address cannot be read")
	}
	if !a.reachable(addr.Addr()) {
		return &InsideError{addr.Addr().Unmap()}
	}
	return nil
}
