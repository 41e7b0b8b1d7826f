package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen opens a TCP listener. Its error is a sentence that names the flag and
// the address.
func listen(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s: another program listens on this address already; stop it, or choose another address: %w", flag, addr, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s %s: this user may not listen on this port: %w", flag, addr, err)
	default:
		return nil, fmt.Errorf("%s %s: cannot listen on this address: %w", flag, addr, err)
	}
}

// loadTLS reads the certificate, nil where none is configured. protocols are
// what the listener speaks, best first.
func loadTLS(c Config, protocols ...string) (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s --tls-key %s: %w", c.TLSCert, c.TLSKey, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: protocols, MinVersion: tls.VersionTLS12}, nil
}

// ownURL is the URL of a listener as a client on the same machine reaches it.
func ownURL(l net.Listener, secure bool) string {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	return scheme + Reachable(l)
}

// Reachable is a listener's address as a client on the same machine can use it,
// host:port: localhost where it takes any address, since 0.0.0.0 is none to
// connect to.
func Reachable(l net.Listener) string {
	if addr, ok := l.Addr().(*net.TCPAddr); ok && addr.IP.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", addr.Port)
	}
	return l.Addr().String()
}
