package dispatcher

import (
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

const (
	// rateCovers is over how long the controller counts what was sent.
	rateCovers = 10 * time.Second
	// While a lane goes on for a shorter time than this, a rate would be told
	// from one or two requests.
	rateFewest = 3 * time.Second
)

// pace is what a run's job shows. left is how many of its prompts have no
// outcome.
func (l *lane) pace(now time.Time, r *run, left int64) *job.Pace {
	p := l.lanePace(now)
	most := r.requests.Rate()
	if most > 0 {
		p.CurrentRPM = min(p.CurrentRPM, most)
	}
	if p.HoldReason != "" {
		p.HoldReason = l.public(p.HoldReason)
		r.trend.forget() // what was before it does not tell what is after it
		return p
	}
	if r.capped(now) {
		p.BoundBy = string(rate.BoundCap)
	}
	if rpm := float64(l.cfg.Rate.RPM); rpm > 0 && (most == 0 || rpm < most) {
		most = rpm
	}
	rest := r.trend.left(now, r.outcomes, left, most)
	doubted, waits, flows := l.stragglers(now, r)
	if rest.about == 0 || !flows {
		return p // how long those take that are in doubt, nobody knows
	}
	if waits <= 0 && r.trend.refuted(now, rest) {
		return p
	}
	if doubted {
		// They are tried alone once the others are done, if not before.
		rest.about += quiet
		rest.most += 2 * quiet
	}
	p.EstimatedCompletionAt = now.Add(max(rest.about, waits))
	p.EstimatedEarliest = now.Add(max(rest.least, waits))
	p.EstimatedLatest = now.Add(max(rest.most, waits))
	return p
}

// stragglers looks at the prompts of a run that its trend does not tell of:
// doubted tells that some are refused for the rate again and again, waits is
// the longest time until one that waits may leave, and flows that there are
// others.
func (l *lane) stragglers(now time.Time, r *run) (doubted bool, waits time.Duration, flows bool) {
	inDoubt := func(it *item) bool { return it.refused >= refusalsInDoubt }
	doubted, flows = len(r.suspects) > 0, len(r.fresh) > 0 || !r.eof
	for _, it := range r.retry {
		if inDoubt(it) {
			doubted = true
			continue
		}
		flows = true
		waits = max(waits, it.notBefore.Sub(now))
	}
	if flows {
		return doubted, waits, true
	}
	flying := 0
	for it := range l.flying {
		switch {
		case it.run != r:
		case inDoubt(it):
			doubted = true
			flying++
		default:
			return doubted, waits, true
		}
	}
	// Where nothing is left but outcomes on their way to the store, it is done.
	return doubted, waits, !doubted && flying == 0
}

// lanePace is what of it all jobs of the lane have in common.
func (l *lane) lanePace(now time.Time) *job.Pace {
	s := l.ctl.Snapshot(now)
	p := &job.Pace{
		LearnedRPM: s.RPM, LearnedTPM: s.TPM, LearnedConcurrency: s.Concurrency,
		BoundBy: string(l.bound),
	}
	switch {
	case l.blocked != "":
		p.HoldReason, p.HeldSince = l.blocked, l.blockedAt
	case l.hold != nil:
		p.HoldReason, p.HeldSince, p.HeldUntil = l.hold.reason, l.hold.since, l.hold.until
	case !l.aloneSince.IsZero():
		p.HoldReason, p.HeldSince, p.HeldUntil = l.aloneReason(), l.aloneSince, l.aloneUntil
	default:
		p.CurrentRPM = l.currentRPM(now, s.CurrentRPM)
	}
	return p
}

// currentRPM is at what rate requests leave now. After a hold its silence does
// not count, and a burst within the first second is not the rate that a cap
// lets pass.
func (l *lane) currentRPM(now time.Time, counted float64) float64 {
	if since := now.Sub(l.resumedAt); !l.resumedAt.IsZero() && since < rateCovers {
		counted *= float64(rateCovers) / float64(max(since, rateFewest))
	}
	if rpm := float64(l.cfg.Rate.RPM); rpm > 0 {
		counted = min(counted, rpm)
	}
	return counted
}

// tell updates what jobs show and what is kept of the lane, when it is time,
// and returns when it is time again.
func (r *laneRunner) tell(now time.Time) time.Time {
	if next := r.pacedAt.Add(paceEvery); now.Before(next) {
		return next
	}
	r.pacedAt = now
	for _, x := range r.lane.runs {
		x.account.pace.Store(r.lane.pace(now, x, r.left[x]))
		r.d.commit.touch(r, x)
	}
	if now.Sub(r.savedAt) >= saveEvery {
		r.save()
	}
	return now.Add(paceEvery)
}
