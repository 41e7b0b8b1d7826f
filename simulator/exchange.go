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
	contentSSE  = []string{"text/event-stream; charset=utf-8"}
)

// exchange is one request and what becomes of it.
type exchange struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	path   string // without a dialect's prefix
	place  int    // of the dialect among dialects
	shared bool   // the body may tell another dialect
	op     operation
	id     uint64
	start  time.Time

	rq      request
	verdict verdict
	resets  bool // whoever called serve must reset the connection
}

func (x *exchange) dialect() dialect { return dialects[x.place] }

func (x *exchange) counts() *counters { return &x.s.ledger.by[x.place] }

// lookup answers what is no prompt. It is never counted, limited or faulted.
func (x *exchange) lookup() {
	var f *failure
	switch {
	case x.op == opNone:
		f = &failure{kind: noRoute, message: x.r.Method + " " + x.r.URL.Path}
	case x.op == opMethod:
		f = &failure{kind: badMethod}
	case x.dialect().credential(x.r) == "":
		f = &failure{kind: noCredential}
	default:
		var body []byte
		if body, f = x.dialect().appendLookup(nil, x.path); f == nil {
			x.write(http.StatusOK, contentJSON, body)
			return
		}
	}
	x.writeFailure(f)
}

// serve takes a prompt through the door, the weather, its limits, its fate and
// its latency, in the order in which a provider does.
func (x *exchange) serve() {
	l := &x.s.ledger
	l.arrive(x.start, x.place)
	defer l.leave()
	if f := x.read(); f != nil {
		x.counts().errors.Add(1)
		x.writeFailure(f)
		return
	}
	if isUnknownModel(x.rq.model) {
		l.refuse(x.rq.key)
		x.fail(fails(noModel), 0)
		return
	}
	a := compose(&x.rq)
	if k := x.s.weather.Load(); k != nil {
		before := l.tally(x.rq.key).requests
		if f, left := k.over(x, before); f != nil {
			l.refuse(x.rq.key)
			x.meet(f.outcome, &a, before, left)
			return
		}
	}
	x.verdict = x.s.gate.enter(x.start, x.rq.promptTokens+a.tokens)
	switch x.verdict.bound {
	case boundNone:
		defer x.s.gate.leave()
		n := l.attempt(x.rq.key)
		x.meet(x.s.cfg.decide(&x.rq, n), &a, n, 0)
	case boundSize:
		l.refuse(x.rq.key)
		x.fail(fails(tooLarge), 0)
	default:
		l.refuse(x.rq.key)
		x.fail(fails(rateLimited), x.verdict.wait)
	}
}

// isUnknownModel is the one rule about models: any other name is answered.
func isUnknownModel(name string) bool { return strings.Contains(name, "no-such") }

// meet gives a request its fate. n tells its latency, and wait how long a
// refusal lasts, 0 for not known.
func (x *exchange) meet(o outcome, a *answer, n uint32, wait time.Duration) {
	switch o.act {
	case actHang:
		x.counts().hangs.Add(1)
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
		x.counts().aborted.Add(1)
		return
	}

	switch o.act {
	case actFail:
		x.fail(o, x.orderedWait(o, wait))
	case actReset:
		x.counts().resets.Add(1)
		x.resets = true
	case actCut, actTruncate, actNothing, actHTML, actSSE, actError200:
		x.counts().garbage.Add(1)
		x.spoil(o.act, a)
	default:
		// Counted before it is sent, so that a client which has its answer
		// finds it in the stats.
		x.s.ledger.answer(x.rq.key, x.place)
		if k := x.s.weather.Load(); k != nil {
			k.answers.Add(1)
		}
		x.writeAnswer(a)
	}
}

// orderedWait is how long a refusal that a marker, a share or the weather
// ordered tells its client to wait: what the weather has left, else until
// midnight (UTC) for a day's quota, else a second.
func (x *exchange) orderedWait(o outcome, left time.Duration) time.Duration {
	switch {
	case o.mute || o.kind != rateLimited && o.kind != dayUsedUp:
		return 0
	case left > 0:
		return left
	case o.kind == dayUsedUp:
		const day = 24 * time.Hour
		return x.start.Truncate(day).Add(day).Sub(x.start)
	}
	return time.Second
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
	case x.dialect().credential(x.r) == "":
		return &failure{kind: noCredential}
	case len(*buf) > maxBody:
		return &failure{kind: bodyTooLarge}
	case err != nil:
		return &failure{kind: badJSON}
	}
	rq, f := x.parse(*buf)
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

// fail counts and writes an error of a request that was understood. wait is
// how long it lasts, 0 for not known.
func (x *exchange) fail(o outcome, wait time.Duration) {
	if o.kind == rateLimited {
		x.s.ledger.limit(x.rq.key, x.place)
	} else {
		x.counts().errors.Add(1)
	}
	f := &failure{kind: o.kind, model: x.rq.model, tokens: x.rq.promptTokens}
	if x.verdict.bound != boundNone {
		f.verdict = &x.verdict
	}
	if x.s.cfg.Headers && wait > 0 {
		f.wait = wait
		x.dialect().retryHeaders(x.w.Header(), wait)
	}
	x.writeFailure(f)
}

func (x *exchange) writeFailure(f *failure) {
	if f.kind == badGateway {
		x.write(http.StatusBadGateway, contentHTML, []byte(gatewayPage))
		return
	}
	f.id = x.id
	body, status := x.dialect().appendFailure(nil, f)
	x.write(status, contentJSON, body)
}

func (x *exchange) writeAnswer(a *answer) {
	buf := buffers.Get().(*[]byte)
	defer keep(buf)
	*buf = x.dialect().appendAnswer((*buf)[:0], &x.rq, a, x.id)
	x.write(http.StatusOK, contentJSON, *buf)
}

func (x *exchange) write(status int, contentType []string, body []byte) {
	h := x.head()
	h["Content-Type"] = contentType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // an error is the client's having left
}

// head sets the dialect's headers and returns the map for more.
func (x *exchange) head() http.Header {
	h := x.w.Header()
	x.dialect().headers(h, x.id, time.Since(x.start))
	if x.s.cfg.Headers {
		x.dialect().rateHeaders(h, &x.verdict)
	}
	return h
}
