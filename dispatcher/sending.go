package dispatcher

import (
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

const (
	// A lane stops sending while so much is sent and not yet durable: what a
	// crash would cost stays bounded when the disk is slow.
	maxUnrecorded      = 8192
	maxUnrecordedBytes = 32 << 20
)

// reserve asks for the lines that the runs send next.
func (l *lane) reserve() {
	for _, r := range l.runs {
		if line, ask := r.reserve(); ask {
			r.account.reserve.Store(line)
			l.emit(command{verb: doReserve, run: r})
		}
	}
}

// send lets prompts leave as long as everything permits it.
func (l *lane) send(now time.Time) time.Time {
	for {
		it, from, waiting, at := l.shares.next(now)
		if it == nil {
			l.slot.leave(&l.seat)
			return at
		}
		if l.unrecorded >= maxUnrecorded || l.unrecordedBytes >= maxUnrecordedBytes {
			l.bound = rate.BoundMachine
			return time.Time{}
		}
		if ok, at := l.ctl.Permit(now, it.size()); !ok {
			l.bound = l.ctl.Snapshot(now).Bound
			if waiting > 1 {
				l.bound = rate.BoundShare
			}
			return at
		}
		if !l.dayPermits(now) {
			l.bound = rate.BoundCap
			if l.hold != nil {
				return now
			}
			return time.Time{} // after the next save
		}
		if !l.slot.take(&l.seat) {
			l.bound = rate.BoundMachine
			return now.Add(slotPoll)
		}
		from.turn++
		l.leaves(now, it)
	}
}

// leaves sends an item that has its permits.
func (l *lane) leaves(now time.Time, it *item) {
	r := it.run
	r.pop(it)
	it.estimate = l.ctl.Estimate(it.size())
	it.key, it.generation = l.keys.pick(now), l.keys.generation
	l.today.sent++
	if it != l.trial || !it.drained {
		l.leftAt = now
	}
	l.left++
	it.left, it.heldBack = l.left, false
	it.ticket = l.ctl.Sent(now, it.size())
	r.requests.Take(now, 1)
	r.tokens.Take(now, float64(it.estimate))
	l.shares.take(r, it.estimate)
	r.inFlight++
	l.inFlight++
	l.flying[it] = true
	r.account.requests.Add(1)
	l.emit(command{verb: doSend, it: it})
}

// readAhead has the next block of each run read before its last prompt leaves.
// It returns when one that could not be read is tried again.
func (l *lane) readAhead(now time.Time) (again time.Time) {
	low := min(2048, max(64, 2*l.ctl.Width()))
	for _, r := range l.runs {
		if r.reading || r.eof || r.draining || l.stopping || len(r.fresh) >= low {
			continue
		}
		if r.readAt.After(now) {
			again = earliest(again, r.readAt)
			continue
		}
		r.reading = true
		l.emit(command{verb: doRead, run: r})
	}
	return again
}
