package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// snapshot is how far a job is.
type snapshot struct {
	state       string // such as PROCESSING
	total, done int64
	failed      int64   // of done
	rate        float64 // outcomes or requests a minute; 0: not known
	cap         float64 // what bounds the requests a minute; 0: nothing that is known
	rest        rest
	boundBy     string
	held        string // why nothing is sent
	heldSince   time.Time
	heldUntil   time.Time // zero: nobody named it
	tokens      int64
	silent      time.Duration // since done was last less than now
	finishing   int64         // after ctrl-C: the requests that are waited for, 1 or more
	stopped     bool          // after ctrl-C
}

// progress shows a person how far a job is.
type progress interface {
	update(s snapshot)
	say(sentence string) // on a line of its own
	end()
}

// newProgress shows a bar on a terminal, and a line every few seconds
// elsewhere. detail, which may be nil, is asked now and then for what an update
// does not tell.
func (p *program) newProgress(detail func(snapshot) snapshot) progress {
	v := &view{detail: detail, quit: make(chan struct{})}
	if isTerminal(p.stderr) {
		b := newBar(p, v)
		v.start(time.Second, b.refresh)
		return &withBar{withEnd{v, b.say, b.end}, b}
	}
	var last string
	v.start(p.every, func(s snapshot) {
		if line := s.line(); line != last {
			last = line
			fmt.Fprintln(p.stderr, line)
		}
	})
	return &withEnd{v, func(sentence string) { fmt.Fprintln(p.stderr, sentence) }, func() {}}
}

// view holds the newest snapshot and shows it every so often.
type view struct {
	detail func(snapshot) snapshot
	quit   chan struct{}
	done   sync.WaitGroup

	mu     sync.Mutex
	newest snapshot
	any    bool
	rose   time.Time // when done last did
}

func (v *view) start(every time.Duration, show func(snapshot)) {
	v.done.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-v.quit:
				return
			case <-ticker.C:
			}
			s, ok := v.get()
			if !ok {
				continue
			}
			if v.detail != nil {
				s = v.detail(s)
			}
			show(s)
		}
	})
}

func (v *view) get() (snapshot, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.newest
	s.silent = time.Since(v.rose)
	return s, v.any
}

func (v *view) update(s snapshot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.any || s.done != v.newest.done || v.newest.held != "" {
		v.rose = time.Now()
	}
	v.newest, v.any = s, true
}

type withEnd struct {
	*view
	tell func(sentence string)
	then func()
}

func (w *withEnd) say(sentence string) { w.tell(sentence) }

func (w *withEnd) end() {
	close(w.quit)
	w.done.Wait()
	w.then()
}

// withBar moves the bar with each update. The bar's decorators must not: they
// run inside it, and would wait for themselves.
type withBar struct {
	withEnd
	bar *bar
}

func (w *withBar) update(s snapshot) {
	w.withEnd.update(s)
	w.bar.bar.SetTotal(s.total, false)
	w.bar.bar.SetCurrent(s.done)
}

// bar is the progress on a terminal.
type bar struct {
	view  *view
	all   *mpb.Progress
	bar   *mpb.Bar
	mu    sync.Mutex
	shown snapshot // with its details
}

func newBar(p *program, v *view) *bar {
	b := &bar{view: v}
	b.all = mpb.New(mpb.WithOutput(p.stderr), mpb.WithWidth(40), mpb.WithRefreshRate(150*time.Millisecond))
	b.bar = b.all.New(0, mpb.BarStyle().Rbound("]").Lbound("["),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			s, _ := v.get()
			return s.counted()
		}, decor.WC{W: 18})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			b.mu.Lock()
			detailed := b.shown
			b.mu.Unlock()
			s, _ := v.get()
			return " " + strings.Join(s.with(detailed).notes(), ", ")
		})),
	)
	return b
}

func (b *bar) refresh(s snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shown = s
}

// say writes above the bar.
func (b *bar) say(sentence string) {
	b.all.Write([]byte(sentence + "\n")) //nolint:errcheck // a terminal that is gone
}

func (b *bar) end() {
	b.bar.Abort(false)
	b.all.Wait()
}

// with takes from an older snapshot what details only it has.
func (s snapshot) with(old snapshot) snapshot {
	if s.boundBy == "" {
		s.boundBy = old.boundBy
	}
	if s.held == "" {
		s.held, s.heldSince, s.heldUntil = old.held, old.heldSince, old.heldUntil
	}
	if s.tokens == 0 {
		s.tokens = old.tokens
	}
	if s.rate == 0 {
		s.rate = old.rate
	}
	if s.rest == (rest{}) {
		s.rest = old.rest
	}
	return s
}

func (s snapshot) counted() string { return fmt.Sprintf("%s/%s", number(s.done), number(s.total)) }

// notes are what there is to say beside the counts.
func (s snapshot) notes() []string {
	var notes []string
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if s.failed > 0 {
		add("%s failed", number(s.failed))
	}
	switch {
	case s.stopped && s.finishing > 0:
		add("stopping: waiting for %s in flight", plural(s.finishing, "request"))
	case s.stopped:
		add("stopping: waiting for what is in flight")
	case s.state != "PROCESSING":
		add("%s", s.state)
	case s.held != "":
		notes = append(notes, s.hold())
	case s.hangs():
		add("waiting for the %s, nothing came for %s", s.missing(), short(s.silent))
	default:
		if rate := s.shownRate(); rate > 0 {
			add("%s/min", number(int64(rate+0.5)))
		}
		if s.boundBy != "" {
			add("bound by %s", s.boundBy)
		}
	}
	if s.tokens > 0 {
		add("%s", plural(s.tokens, "token"))
	}
	if left := s.left(); left != "" {
		add("%s left", left)
	}
	return notes
}

// hold says what holds the job, since when, and until when.
func (s snapshot) hold() string {
	text := "held"
	if !s.heldSince.IsZero() {
		text += " since " + clock(&s.heldSince)
	}
	if !s.heldUntil.IsZero() {
		text += " until " + clock(&s.heldUntil)
	}
	return text + ": " + strings.TrimRight(oneLine(s.held), ".")
}

// capped is what bounds a job's requests a minute: its own rpm, or where the
// operator's cap binds, what is sent. 0: nothing that is known.
func capped(boundBy string, rpm, current float64) float64 {
	if boundBy == "cap" && current > 0 && (rpm == 0 || current < rpm) {
		return current
	}
	return rpm
}

// shownRate is never more than what bounds it: over a short time more may
// have been answered than a minute lets pass.
func (s snapshot) shownRate() float64 {
	if s.cap > 0 {
		return min(s.rate, s.cap)
	}
	return s.rate
}

// left is how long the rest will take; empty: nobody knows, or it is held.
func (s snapshot) left() string {
	if s.total <= s.done || s.held != "" || s.stopped || s.state != "PROCESSING" {
		return ""
	}
	return s.rest.String()
}

const (
	// longSilence is how long nothing comes before a person is told that
	// something is waited for, and not that it is forgotten.
	longSilence = 5 * time.Second
	// fewLeft prompts at the end are the last ones.
	fewLeft = 100
)

// hangs tells that nothing has come for long, and nobody knows when it does.
func (s snapshot) hangs() bool {
	return s.silent >= longSilence && s.total > s.done && s.left() == ""
}

// missing is what is waited for.
func (s snapshot) missing() string {
	left := s.total - s.done
	switch {
	case s.done == 0:
		return "first answers"
	case left == 1:
		return "last answer"
	case left <= fewLeft:
		return "last " + number(left) + " answers"
	}
	return "next answers"
}

func (s snapshot) line() string {
	text := fmt.Sprintf("%s of %s done", number(s.done), number(s.total))
	for _, note := range s.notes() {
		text += ", " + note
	}
	return text
}

// meter tells the rate at which a count rises, over the last half minute, or
// since a hold that ended in it.
type meter struct{ seen []reading }

type reading struct {
	at time.Time
	n  int64
}

const meterWindow = 30 * time.Second

// forget begins anew: what was before a hold is not the rate after it.
func (m *meter) forget() { m.seen = nil }

// rate adds a reading and returns the rise a minute; 0 while it is not known.
func (m *meter) rate(now time.Time, n int64) float64 {
	m.seen = append(m.seen, reading{now, n})
	for len(m.seen) > 2 && now.Sub(m.seen[1].at) > meterWindow {
		m.seen = m.seen[1:]
	}
	first := m.seen[0]
	if elapsed := now.Sub(first.at); elapsed >= time.Second {
		return float64(n-first.n) / elapsed.Minutes()
	}
	return 0
}
