package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// longForm tells whether PROMPTFORGE_LONG is set, as make test-long does: the
// tests that have two forms then run the one that takes minutes.
func longForm() bool { return os.Getenv("PROMPTFORGE_LONG") != "" }

// pinned keeps the ports that the server was given, so that every later up
// listens where the first did, and clients outlive a restart.
func (d *deployment) pinned() *deployment {
	d.t.Helper()
	d.flags = append(d.flags, "--http-addr", strings.TrimPrefix(d.server.url, "http://"), "--grpc-addr", d.server.grpc)
	return d
}

// killed kills the server, without starting another.
func (d *deployment) killed() {
	d.t.Helper()
	if code := d.server.signal(syscall.SIGKILL); code != -1 {
		d.t.Fatalf("the server ended by itself with %d: %s", code, d.server.log)
	}
}

// terminated ends the server by SIGTERM, without starting another.
func (d *deployment) terminated(t *testing.T) {
	t.Helper()
	if code := d.server.signal(syscall.SIGTERM); code != 0 {
		t.Fatalf("it ended with %d: %s", code, d.server.log)
	}
}
