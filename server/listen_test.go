package server

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// A listener on every address is told as one that can be opened.
func TestOwnURL(t *testing.T) {
	for addr, want := range map[string]string{"0.0.0.0:0": "localhost", "[::]:0": "localhost", "127.0.0.1:0": "127.0.0.1"} {
		l, err := net.Listen("tcp", addr)
		if err != nil && strings.Contains(addr, "::") {
			continue // this machine has no IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		want = fmt.Sprintf("%s:%d", want, l.Addr().(*net.TCPAddr).Port)
		if got := ownURL(l, false); got != "http://"+want {
			t.Errorf("%s is told as %s, want http://%s", addr, got, want)
		}
		if got := ownURL(l, true); got != "https://"+want {
			t.Errorf("%s is told as %s, want https://%s", addr, got, want)
		}
		if got := Reachable(l); got != want {
			t.Errorf("%s is told as %s, want %s", addr, got, want)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
