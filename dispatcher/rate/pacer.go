package rate

import "time"

// slack is how many seconds of its rate a Pacer may send at once. A timer wakes
// late by a millisecond or more; without slack that time would be lost each time.
const slack = 0.05

// An even Pacer saves up less than a unit, so that a bucket of one request
// accepts what it lets pass, or evenSlack seconds where that is more: no timer
// wakes more evenly than that.
const (
	almostOne = 0.9
	evenSlack = 0.004
)

// Pacer lets units (requests, or tokens) pass evenly at a rate. Its zero value
// lets everything pass.
type Pacer struct {
	pacer pacer
	began time.Time // the moment that the pacer's times are counted from
}

// SetRate changes the rate to units a minute; 0 lifts the limit. What was
// saved up or owed stays.
func (p *Pacer) SetRate(now time.Time, perMinute float64) {
	p.pacer.SetRate(p.since(now), perMinute)
}

// Rate is the rate in units a minute; 0: no limit.
func (p *Pacer) Rate() float64 { return p.pacer.perSecond * 60 }

// Ready returns when the next unit may pass: now or earlier means at once.
func (p *Pacer) Ready(now time.Time) time.Time {
	at := p.since(now)
	return now.Add(p.pacer.Ready(at) - at)
}

// Take lets units pass, or gives them back where units is negative.
func (p *Pacer) Take(now time.Time, units float64) { p.pacer.Take(p.since(now), units) }

// Drain forgets what was saved up, so that no burst follows a pause.
func (p *Pacer) Drain(now time.Time) { p.pacer.Drain(p.since(now)) }

func (p *Pacer) since(now time.Time) time.Duration {
	if p.began.IsZero() {
		p.began = now
	}
	return now.Sub(p.began)
}

// pacer is a Pacer whose times are counted from some moment: that is several
// times as fast, and a Controller asks three of them for each request.
type pacer struct {
	perSecond float64 // 0: no limit
	balance   float64 // units that may pass now; negative is debt
	even      bool    // saves up no whole unit, so that no two pass at once
	room      float64 // units that may be saved up at least, so that what is given back is not lost
	at        time.Duration
}

func (p *pacer) SetRate(now time.Duration, perMinute float64) {
	p.settle(now)
	p.perSecond = max(0, perMinute/60)
	p.fill(p.balance)
}

func (p *pacer) Ready(now time.Duration) time.Duration {
	if p.perSecond == 0 {
		return now
	}
	p.settle(now)
	// A unit passes as soon as nothing is owed, so that one request with more
	// tokens than the depth passes too and is paid for afterwards.
	if p.balance >= 0 {
		return now
	}
	return now + time.Duration(-p.balance/p.perSecond*float64(time.Second))
}

func (p *pacer) Take(now time.Duration, units float64) {
	if p.perSecond == 0 {
		return
	}
	p.settle(now)
	p.fill(p.balance - units)
}

func (p *pacer) Drain(now time.Duration) {
	p.settle(now)
	p.balance = min(p.balance, 0)
}

// Begin sets a rate and what is saved up, or owed where balance is negative.
func (p *pacer) Begin(now time.Duration, perMinute, balance float64) {
	p.perSecond = max(0, perMinute/60)
	p.balance, p.at = min(balance, 0), now
}

// fill sets the balance, up to the depth.
func (p *pacer) fill(balance float64) {
	if p.balance = balance; balance > 0 {
		p.balance = min(balance, p.depth())
	}
}

func (p *pacer) depth() float64 {
	saved := p.perSecond * slack
	if p.even {
		saved = min(saved, max(almostOne, p.perSecond*evenSlack))
	}
	return max(p.room, saved)
}

func (p *pacer) settle(now time.Duration) {
	if now <= p.at {
		return
	}
	balance := p.balance + inSeconds(now-p.at)*p.perSecond
	if balance > 0 {
		balance = min(balance, max(p.balance, p.depth()))
	}
	p.balance, p.at = balance, now
}

// inSeconds is d.Seconds(), but faster where d is less than a second.
func inSeconds(d time.Duration) float64 {
	if d < time.Second {
		return float64(d) / 1e9
	}
	return d.Seconds()
}
