package simulator

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody is the largest request read, in bytes.
const maxBody = 64 << 20

// keepBody is the largest body, in bytes, whose memory is pooled, so that one
// long prompt does not hold its own for ever.
const keepBody = 1 << 20

// buffers hold bodies, of requests while they are parsed and of answers while
// they are written. Nothing else may point into one that was put back.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 2048)
	return &b
}}

func keep(buf *[]byte) {
	if cap(*buf) <= keepBody {
		buffers.Put(buf)
	}
}

// Header values that never change are shared; nobody appends to them.
var (
	contentJSON = []string{"application/json"}
	contentHTML = []string{"text/html; charset=utf-8"}
)

// exchange is one request and what becomes of it.
type exchange struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	d     dialect
	op    operation
	id    uint64
	start time.Time

	rq      request
	verdict verdict
	resets  bool // whoever called serve must reset the connection
}

// lookup answers what is no prompt. It is never counted, limited or faulted.
func (x *exchange) lookup() {
	var f *failure
	switch {
	case x.op == opNone:
		f = &failure{kind: noRoute, message: x.r.Method + " " + x.r.URL.Path}
	case x.op == opMethod:
		f = &failure{kind: badMethod}
	case !x.d.credential(x.r):
		f = &failure{kind: noCredential}
	default:
		var body []byte
		if body, f = x.d.appendLookup(nil, x.r); f == nil {
			x.write(http.StatusOK, body)
			return
		}
	}
	x.writeFailure(f)
}

// serve takes a prompt through the door, its limits, its fate and its latency,
// in the order in which a provider does.
func (x *exchange) serve() {
	l := &x.s.ledger
	l.arrive(x.start)
	defer l.leave()
	if f := x.read(); f != nil {
		l.errors.Add(1)
		x.writeFailure(f)
		return
	}
	if strings.HasPrefix(x.rq.model, "no-such") {
		l.refuse(x.rq.key)
		x.fail(noModel)
		return
	}
	a := compose(&x.rq)
	x.verdict = x.s.gate.enter(x.start, x.rq.promptTokens+a.tokens)
	switch x.verdict.bound {
	case boundNone:
		defer x.s.gate.leave()
		x.attempt(&a)
	case boundSize:
		l.refuse(x.rq.key)
		x.fail(tooLarge)
	default:
		l.refuse(x.rq.key)
		x.fail(rateLimited)
	}
}

// attempt gives an admitted request its fate.
func (x *exchange) attempt(a *answer) {
	l := &x.s.ledger
	n := l.attempt(x.rq.key)
	o := x.s.cfg.decide(&x.rq, n)
	switch o.act {
	case actHang:
		l.hangs.Add(1)
		<-x.r.Context().Done()
		return
	case actFilter:
		*a = withheld()
	case actRefuse:
		*a = refusal()
	case actSpend:
		*a = spent(&x.rq)
	}

	var delay time.Duration
	if o.act != actFail || o.kind.transient() {
		delay = x.s.cfg.latency(x.rq.key, n)
	}
	if o.act != actFail && o.act != actReset {
		delay += time.Duration(a.tokens) * x.s.cfg.PerToken
	}
	if !x.pause(delay) {
		l.aborted.Add(1)
		return
	}

	switch o.act {
	case actFail:
		x.fail(o.kind)
	case actReset:
		l.resets.Add(1)
		x.resets = true
	case actCut, actTruncate, actHTML:
		l.garbage.Add(1)
		x.spoil(o.act, a)
	default:
		// Counted before it is sent, so that a client which has its answer
		// finds it in the stats.
		l.answer(x.rq.key)
		x.writeAnswer(a)
	}
}

// pause waits for d, and reports whether the client is still there.
func (x *exchange) pause(d time.Duration) bool {
	ctx := x.r.Context()
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// read fills rq. The whole body is read even for a client without credential:
// net/http notices a client's leaving only after that.
func (x *exchange) read() *failure {
	buf := buffers.Get().(*[]byte)
	defer keep(buf)
	var err error
	*buf, err = appendBody((*buf)[:0], x.r)
	switch {
	case !x.d.credential(x.r):
		return &failure{kind: noCredential}
	case len(*buf) > maxBody:
		return &failure{kind: bodyTooLarge}
	case err != nil:
		return &failure{kind: badJSON}
	}
	rq, f := x.d.parse(x.r, x.op, *buf)
	rq.op = x.op
	rq.key = keyOf(rq.prompt)
	x.rq = rq
	return f
}

// appendBody appends r's body, at most one byte more than maxBody.
func appendBody(b []byte, r *http.Request) ([]byte, error) {
	if n := r.ContentLength; n >= 0 && n <= keepBody {
		if int64(cap(b)) < n {
			b = make([]byte, 0, n)
		}
		_, err := io.ReadFull(r.Body, b[:n])
		return b[:n], err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	return append(b, body...), err
}

// fail counts and writes an error of a request that was understood.
func (x *exchange) fail(kind failureKind) {
	if kind == rateLimited {
		x.s.ledger.limit(x.rq.key)
	} else {
		x.s.ledger.errors.Add(1)
	}
	f := &failure{kind: kind, model: x.rq.model, tokens: x.rq.promptTokens}
	if x.verdict.bound != boundNone {
		f.verdict = &x.verdict
	}
	if x.s.cfg.Headers && kind == rateLimited {
		switch {
		case f.verdict == nil: // ordered by a marker
			x.d.retryHeaders(x.w.Header(), time.Second)
		case f.verdict.wait > 0:
			x.d.retryHeaders(x.w.Header(), f.verdict.wait)
		}
	}
	x.writeFailure(f)
}

func (x *exchange) writeFailure(f *failure) {
	body, status := x.d.appendFailure(nil, f)
	x.write(status, body)
}

func (x *exchange) writeAnswer(a *answer) {
	buf := buffers.Get().(*[]byte)
	defer keep(buf)
	*buf = x.d.appendAnswer((*buf)[:0], &x.rq, a, x.id)
	x.write(http.StatusOK, *buf)
}

func (x *exchange) write(status int, body []byte) {
	h := x.head()
	h["Content-Type"] = contentJSON
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // an error is the client's having left
}

// head sets the dialect's headers and returns the map for more.
func (x *exchange) head() http.Header {
	h := x.w.Header()
	x.d.headers(h, x.id, time.Since(x.start))
	if x.s.cfg.Headers {
		x.d.rateHeaders(h, &x.verdict)
	}
	return h
}
