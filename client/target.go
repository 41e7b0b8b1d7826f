package client

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// checkTarget finds the mistake that gRPC would tell only later, and darkly.
func checkTarget(target string) error {
	if target == "" {
		return errors.New("the target is empty; it is where the service serves gRPC, host:port")
	}
	for _, scheme := range []string{"http://", "https://", "grpc://", "grpcs://"} {
		if strings.HasPrefix(strings.ToLower(target), scheme) {
			return fmt.Errorf("the target is host:port, where the service serves gRPC, without %s", scheme)
		}
	}
	return nil
}

// isLocal reports whether the target is certainly this machine. What it does
// not understand is not.
func isLocal(target string) bool {
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:") {
		return true
	}
	for _, scheme := range []string{"dns:", "passthrough:"} {
		rest, ok := strings.CutPrefix(target, scheme)
		if !ok {
			continue
		}
		// scheme:address or scheme:///address. Between the second and the third
		// slash stands who is asked for the address, who may say anything.
		target = strings.TrimPrefix(rest, "///")
		break
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		host = strings.Trim(target, "[]") // without a port
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	// An empty host before a port is this machine, as it is for net.Dial.
	return strings.EqualFold(host, "localhost") || host == "" && err == nil
}
