package webhook

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"syscall"
)

// sentence is what the job's client is told about an attempt that failed. It
// has nothing of what was sent or answered, and no address but one that was
// refused, since the rest is what a prober of this network would ask for.
func sentence(err error) string {
	var inside *InsideError
	var status *StatusError
	var refusal Refusal
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var timeout interface{ Timeout() bool }
	what := "the connection failed"
	switch {
	case errors.As(err, &refusal):
		return refusal.Error()
	case errors.As(err, &inside):
		what = "its host leads to an internal address, which webhooks do not go to"
	case errors.As(err, &status):
		what = status.Error()
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid):
		what = "its certificate is not trusted"
	case errors.Is(err, syscall.ECONNREFUSED):
		what = "the connection was refused"
	case errors.As(err, &dns) && dns.IsNotFound:
		what = "its host name does not exist"
	case errors.As(err, &dns):
		what = "its host name could not be resolved"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		what = "it did not answer in time"
	}
	return "The receiver did not take it: " + what + "."
}
