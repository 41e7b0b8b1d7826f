package server

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// unusedGrace is how long a connection on which no request has begun keeps a
// stop waiting: its first request may be on its way. net/http alone waits 5 s,
// and browsers and pools of clients open connections ahead of use.
const unusedGrace = 500 * time.Millisecond

// unused knows a server's connections on which no request has begun.
type unused struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	over  bool
}

// watch has a server's unused connections closed soon after its Shutdown began.
func (u *unused) watch(server *http.Server) {
	u.conns = map[net.Conn]struct{}{}
	server.ConnState = u.changed
	server.RegisterOnShutdown(func() { time.AfterFunc(unusedGrace, u.close) })
}

func (u *unused) changed(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(u.conns, c)
	case u.over:
		go c.Close() //nolint:errcheck // nobody has used it
	default:
		u.conns[c] = struct{}{}
	}
}

func (u *unused) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	for c := range u.conns {
		go c.Close() //nolint:errcheck // nobody has used it; over TLS it may take its time
	}
}
