package simulator

import (
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
)

// page is what a proxy puts in the place of an answer.
const page = "<!DOCTYPE html>\n<html><head><title>Please wait</title></head>" +
	"<body><h1>Checking your connection</h1></body></html>\n"

// spoil writes a 200 that is no answer.
func (x *exchange) spoil(how act, a *answer) {
	h := x.head()
	if how == actHTML {
		h["Content-Type"] = contentHTML
		h["Content-Length"] = []string{strconv.Itoa(len(page))}
		_, _ = x.w.Write([]byte(page))
		return
	}
	body := x.d.appendAnswer(nil, &x.rq, a, x.id)
	half := body[:len(body)/2]
	claimed := len(half)
	if how == actTruncate {
		// net/http closes a connection whose handler wrote less than it
		// claimed, so the client finds an unexpected end.
		claimed = len(body)
	}
	h["Content-Type"] = contentJSON
	h["Content-Length"] = []string{strconv.Itoa(claimed)}
	_, _ = x.w.Write(half)
}

// reset ends the connection with a TCP RST: without lingering, a close throws
// away what was not sent and tells the client so.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // without it the client sees EOF instead
	}
	_ = raw.Close()
}
