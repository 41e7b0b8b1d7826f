package dispatcher

import (
	"maps"
	"slices"
	"time"
)

// cause is why a lane sends nothing although its provider would take it. The
// first that stands is the one that is shown.
type cause int

const (
	noRoom       cause = iota // the disk is nearly full
	storeAway                 // the store takes no answers
	noCredential              // there is none to send with
	causes
)

// block is one cause that stands.
type block struct {
	reason string // empty: it does not stand
	since  time.Time
}

// block says that a cause stands, or with an empty reason that it is over.
func (l *lane) block(c cause, reason string, since time.Time) {
	if l.blocks[c].reason == "" || reason == "" {
		l.blocks[c].since = since
	}
	l.blocks[c].reason = reason
	l.blocked, l.blockedAt = "", time.Time{}
	for _, b := range l.blocks {
		if b.reason != "" {
			l.blocked, l.blockedAt = b.reason, b.since
			return
		}
	}
}

// watchRoom holds all lanes while the disk is nearly full, until done.
func (d *Dispatcher) watchRoom(done <-chan struct{}) {
	changed, stop := d.cfg.Room.Watch()
	defer stop()
	for {
		d.tellRoom()
		select {
		case <-changed:
		case <-done:
			return
		}
	}
}

// tellRoom tells every lane what the disk says now. One call at a time, lest an
// older word comes after a newer one.
func (d *Dispatcher) tellRoom() {
	d.telling.Lock()
	defer d.telling.Unlock()
	reason, since := d.cfg.Room.Short()
	d.mu.Lock()
	runners := slices.Collect(maps.Values(d.runners))
	d.mu.Unlock()
	for _, r := range runners {
		r.block(noRoom, reason, since)
	}
	if !d.cfg.Room.Spent() {
		signal(d.seal.wake)
	}
}
