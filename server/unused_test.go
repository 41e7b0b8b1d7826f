package server

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A connection that nobody has used, as browsers open them ahead, keeps a stop
// waiting for a moment only; one with a request under way has all its time.
func TestUnusedConnectionsDoNotDelayAStop(t *testing.T) {
	e := start(t, func(c *Config) { c.DrainTimeout = time.Minute })
	must(t, firstAnswer(e)) // the listener is served
	unused, err := net.Dial("tcp", e.HTTPAddr())
	must(t, err)
	defer unused.Close()
	begin := time.Now()
	e.stop()
	if took := time.Since(begin); took < unusedGrace/2 || took > 4*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if _, err := unused.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection ended with %v", err)
	}
}

func firstAnswer(e *env) error {
	res, err := http.Get(e.url("/healthz"))
	if err != nil {
		return err
	}
	return res.Body.Close()
}
