package simulator

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
)

// page is what a proxy puts in the place of an answer.
const page = "<!DOCTYPE html>\n<html><head><title>Please wait</title></head>" +
	"<body><h1>Checking your connection</h1></body></html>\n"

// gatewayPage is what a proxy says when there is nobody behind it.
const gatewayPage = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n" +
	"<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>proxy</center>\r\n</body>\r\n</html>\r\n"

// spoil writes a 200 that is no answer.
func (x *exchange) spoil(how act, a *answer) {
	switch how {
	case actNothing:
		x.write(http.StatusOK, contentJSON, nil)
	case actHTML:
		x.write(http.StatusOK, contentHTML, []byte(page))
	case actSSE:
		x.write(http.StatusOK, contentSSE, x.event())
	case actError200:
		body, _ := x.dialect().appendFailure(nil, &failure{kind: unavailable, id: x.id, model: x.rq.model})
		x.write(http.StatusOK, contentJSON, body)
	default:
		body := x.dialect().appendAnswer(nil, &x.rq, a, x.id)
		half := body[:len(body)/2]
		if how == actCut {
			x.write(http.StatusOK, contentJSON, half)
			return
		}
		// net/http closes a connection whose handler wrote less than it
		// claimed, so the client finds an unexpected end.
		h := x.head()
		h["Content-Type"] = contentJSON
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
		_, _ = x.w.Write(half)
	}
}

// event is an overload as a stream that was never asked for tells it.
func (x *exchange) event() []byte {
	body, _ := x.dialect().appendFailure(nil, &failure{kind: overloaded, id: x.id, model: x.rq.model})
	b := bytes.NewBufferString("event: error\ndata: ")
	_ = json.Compact(b, body) // an event's data is one line; ours is JSON
	b.WriteString("\n\n")
	return b.Bytes()
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
