package dispatcher

import (
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
)

const (
	weatherMemory  = 40 // answers that are looked at
	weatherPrompts = 20 // different prompts that must have been answered
	weatherOpen    = 3  // or so many, where they are all that is open
	gloom          = 3  // failing answers in a row, after which fresh prompts go first
)

// weather remembers the last answers, to tell a provider's outage from a
// prompt's fault.
type weather struct {
	last [weatherMemory]struct {
		it      *item
		failing bool // transient or broken
	}
	n     int
	inRow int // failing answers without another in between
}

func (w *weather) add(it *item, failing bool) {
	slot := &w.last[w.n%weatherMemory]
	slot.it, slot.failing = it, failing
	w.n++
	if w.inRow++; !failing {
		w.inRow = 0
	}
}

func (w *weather) forget() { *w = weather{} }

// bad tells whether more than half of the last answers to at least
// weatherPrompts different prompts were transient or broken.
func (w *weather) bad() bool {
	seen := make(map[*item]bool, weatherMemory)
	failing := 0
	for i := w.n - 1; i >= max(0, w.n-weatherMemory); i-- {
		slot := w.last[i%weatherMemory]
		if seen[slot.it] {
			continue
		}
		seen[slot.it] = true
		if slot.failing {
			failing++
		}
	}
	return len(seen) >= weatherPrompts && 2*failing > len(seen)
}

// note takes an answer into the weather: it begins, goes on or ends a hold.
func (l *lane) note(now time.Time, it *item, a *provider.Answer, wasProbe bool) {
	it.failing = failing(a)
	if l.hold != nil {
		if wasProbe {
			l.probed(now, it, a)
		}
		return
	}
	switch a.Class {
	case provider.Fatal:
		if l.ownFatal(it) {
			return
		}
		l.begin(now, newRefusal(now, a))
		return
	case provider.UsedUp:
		l.begin(now, newUsedUp(now, a))
		return
	case provider.SlowDown:
		return // says nothing about the provider's health
	}
	if it.atFault {
		return
	}
	l.weather.add(it, it.failing)
	if !it.failing {
		l.askNow(now, func(other *item) bool { return other.brokenAt < it.left })
	}
	if gloomy := l.weather.inRow >= gloom; gloomy != l.gloomy {
		l.gloomy = gloomy
		for _, r := range l.runs {
			r.freshFirst = gloomy
		}
	}
	if it.failing && (l.weather.bad() || l.allOpenFailing()) {
		it.excused, it.spent, it.verdict = it.spent, tries{}, nil
		l.begin(now, newOutage(now, a))
	}
}

// failing tells whether an answer may be the provider's weather, or its prompt's
// fault.
func failing(a *provider.Answer) bool {
	return a.Class == provider.Transient || a.Class == provider.Broken
}

// allOpenFailing tells whether every open prompt, weatherOpen of them or more,
// was last answered as transient or broken, those left out that are themselves at
// fault. The prompt that was answered just now is one of them, and in no queue.
func (l *lane) allOpenFailing() bool {
	open := 1
	counts := func(it *item) bool {
		if it.atFault || it.run.draining {
			return true
		}
		open++
		return it.failing
	}
	for _, r := range l.runs {
		if r.draining {
			continue
		}
		if len(r.fresh) > 0 || !r.eof || len(r.suspects) > 0 {
			return false
		}
		for _, waiting := range r.retry {
			if !counts(waiting) {
				return false
			}
		}
	}
	for it := range l.flying {
		if !counts(it) {
			return false
		}
	}
	return open >= weatherOpen
}
