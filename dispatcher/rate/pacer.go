package rate

import "time"

// slack is how much of its rate a Pacer may send at once. A timer wakes late
// by a millisecond or more; without slack that time would be lost each time.
const slack = 50 * time.Millisecond

// An even Pacer saves up less than a unit, so that a bucket of one request
// accepts what it lets pass, or evenSlack where that is more: no timer wakes
// more evenly than that.
const (
	almostOne = 0.9
	evenSlack = 4 * time.Millisecond
)

// Pacer lets units (requests, or tokens) pass evenly at a rate. Its zero value
// lets everything pass.
type Pacer struct {
	perSecond float64 // 0: no limit
	balance   float64 // units that may pass now; negative is debt
	even      bool    // saves up no whole unit, so that no two pass at once
	room      float64 // units that may be saved up at least, so that what is given back is not lost
	at        time.Time
}

// SetRate changes the rate to units a minute; 0 lifts the limit. What was
// saved up or owed stays.
func (p *Pacer) SetRate(now time.Time, perMinute float64) {
	p.settle(now)
	p.perSecond = max(0, perMinute/60)
	p.balance = min(p.balance, p.depth())
}

// Rate is the rate in units a minute; 0: no limit.
func (p *Pacer) Rate() float64 { return p.perSecond * 60 }

// Ready returns when the next unit may pass: now or earlier means at once.
func (p *Pacer) Ready(now time.Time) time.Time {
	if p.perSecond == 0 {
		return now
	}
	p.settle(now)
	// A unit passes as soon as nothing is owed, so that one request with more
	// tokens than the depth passes too and is paid for afterwards.
	if p.balance >= 0 {
		return now
	}
	return now.Add(time.Duration(-p.balance / p.perSecond * float64(time.Second)))
}

// Take lets units pass, or gives them back where units is negative.
func (p *Pacer) Take(now time.Time, units float64) {
	if p.perSecond == 0 {
		return
	}
	p.settle(now)
	p.balance = min(p.balance-units, p.depth())
}

// Drain forgets what was saved up, so that no burst follows a pause.
func (p *Pacer) Drain(now time.Time) {
	p.settle(now)
	p.balance = min(p.balance, 0)
}

// Begin sets a rate and what is saved up, or owed where balance is negative.
func (p *Pacer) Begin(now time.Time, perMinute, balance float64) {
	p.perSecond = max(0, perMinute/60)
	p.balance, p.at = min(balance, 0), now
}

func (p *Pacer) depth() float64 {
	saved := p.perSecond * slack.Seconds()
	if p.even {
		saved = min(saved, max(almostOne, p.perSecond*evenSlack.Seconds()))
	}
	return max(p.room, saved)
}

func (p *Pacer) settle(now time.Time) {
	if elapsed := now.Sub(p.at).Seconds(); elapsed > 0 && !p.at.IsZero() {
		p.balance = min(p.balance+elapsed*p.perSecond, max(p.balance, p.depth()))
	}
	if now.After(p.at) {
		p.at = now
	}
}
