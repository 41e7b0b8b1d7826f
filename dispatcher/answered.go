package dispatcher

import (
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

const (
	maxBackoff = 30 * time.Second
	// A job whose first prompts are all refused alike is FAILED.
	alikeToFail = 100
)

// answered hears what became of a request. outcome is the result where the
// answer is Done.
func (l *lane) answered(now time.Time, it *item, a *provider.Answer, p *job.Prompt, sent bool, outcome *job.Outcome) {
	l.landed(it)
	alone := it == l.trial
	if alone {
		l.tried(now, a)
	}
	l.settleTokens(now, it, a)
	wasProbe := it.probe
	it.probe = false
	if !sent {
		l.unsent(now, it, a, p, wasProbe)
		return
	}
	onlyKey := l.credential(now, it.key, it.generation, a)
	v := verdict(a.Class)
	switch {
	case v == rate.Accepted:
		l.passed++
	case a.Class == provider.SlowDown && (l.ofItself(now, it) || alone):
		v = rate.Failed
	}
	l.ctl.Answered(now, rate.Feedback{
		Verdict: v, Ticket: it.ticket, Bytes: len(it.raw), Tokens: a.Tokens(), PromptTokens: a.Prompt(),
		RetryAfter: a.Pause(), Limits: a.Limits,
	})
	// A prompt that is too large for the limit is refused for itself, not for
	// the rate: that request counts.
	if refusal := a.Class == provider.SlowDown || a.Class == provider.UsedUp; !refusal {
		it.attempts++
	}
	if onlyKey {
		// Nothing is wrong with the prompt, nor with the lane.
		if h := l.hold; wasProbe && h != nil {
			h.probing, h.next = false, now
		}
		l.again(it, now)
		return
	}
	if a.Class == provider.Fatal {
		it.fatals++
	}
	l.note(now, it, a, wasProbe)
	l.decide(now, it, a, p, outcome, alone)
}

// unsent ends a prompt that the dialect cannot say: nothing left.
func (l *lane) unsent(now time.Time, it *item, a *provider.Answer, p *job.Prompt, wasProbe bool) {
	l.ctl.Unsent(now, it.ticket)
	it.run.account.requests.Add(-1)
	l.today.sent = max(0, l.today.sent-1)
	l.keys.untold(now, it.key)
	if wasProbe && l.hold != nil {
		l.hold.probing = false // it told nothing
	}
	l.finish(it, a.Failure(p, a.Code, it.attempts))
}

// settleTokens corrects what was reckoned with when the item was sent: nothing
// for what was not billed, the real number where it is known. A refusal for the
// rate took its client's turn all the same: else one whose prompts are always
// refused would go first for ever.
func (l *lane) settleTokens(now time.Time, it *item, a *provider.Answer) {
	real := it.estimate
	switch {
	case a.Tokens() > 0:
		real = a.Tokens()
	case verdict(a.Class) != rate.Accepted:
		real = 0
	}
	if a.Class != provider.SlowDown {
		l.shares.take(it.run, real-it.estimate)
	}
	it.run.tokens.Take(now, float64(real-it.estimate))
}

func verdict(c provider.Class) rate.Verdict {
	switch c {
	case provider.SlowDown:
		return rate.Refused
	case provider.TooLarge:
		return rate.TooLarge
	case provider.Transient, provider.Fatal, provider.UsedUp:
		return rate.Failed
	default:
		return rate.Accepted
	}
}

// decide gives an answered prompt its outcome or another try.
func (l *lane) decide(now time.Time, it *item, a *provider.Answer, p *job.Prompt, outcome *job.Outcome, alone bool) {
	switch a.Class {
	case provider.Done:
		if !l.succeeded {
			l.succeeded = true
			l.emit(command{verb: doSave})
		}
		l.finish(it, outcome)
	case provider.TooLarge:
		l.finish(it, a.Failure(p, a.Code, it.attempts))
	case provider.Terminal:
		l.finish(it, a.Failure(p, a.Code, it.attempts))
		if withheld := a.Code == job.CodeContentFiltered && a.HTTPStatus/100 == 2; !withheld {
			l.alike(it.run, a)
		}
	case provider.Broken:
		switch {
		case l.hold != nil && !it.atFault:
			it.excuse(a, p)
			l.again(it, now)
		case it.spent.broken >= maxBroken:
			l.finish(it, a.Failure(p, job.CodeBadResponse, it.attempts))
		default:
			l.askLater(now, it)
			it.spent.broken++
		}
	case provider.SlowDown:
		l.slowDown(now, it, a, p, alone)
	case provider.Fatal:
		if l.ownFatal(it) {
			told := *a
			told.Message = l.public(a.Message)
			l.finish(it, told.Failure(p, job.CodeInvalidRequest, it.attempts))
			return
		}
		it.fatalAt = l.passed
		l.again(it, now)
	case provider.UsedUp:
		l.again(it, now)
	case provider.Transient:
		switch {
		case l.hold != nil && !it.atFault:
			it.excuse(a, p)
			l.again(it, now)
		case it.spent.transient >= it.run.maxRetries:
			l.finish(it, a.Failure(p, a.Code, it.attempts))
		default:
			l.again(it, now.Add(l.backoff(it.spent.transient)))
			it.spent.transient++
		}
	}
}

// A prompt that was refused like a bad credential so often, and last while
// others passed, is itself the cause.
const fatalsOfItsOwn = 3

// ownFatal tells whether a fatal answer is the prompt's own fault: a moderation
// in front of the provider answers 403 for one prompt and lets others pass.
func (l *lane) ownFatal(it *item) bool {
	return it.fatals >= fatalsOfItsOwn && l.passed > it.fatalAt
}

// backoff is the wait before a retry: doubled each time, full jitter.
func (l *lane) backoff(spent int) time.Duration {
	most := l.cfg.RetryBase
	for range min(spent, 20) {
		most = min(maxBackoff, 2*most)
	}
	return time.Duration(l.rng.Int64N(int64(most) + 1))
}

// again puts an item back, to leave at the given time.
func (l *lane) again(it *item, at time.Time) {
	if it.run.draining {
		return
	}
	l.seq++
	it.notBefore, it.seq = at, l.seq
	it.run.retry.add(it)
}

// finish hands an outcome over to be recorded.
func (l *lane) finish(it *item, o *job.Outcome) {
	n := len(o.Public) + len(o.Response)
	it.run.outcomes++
	it.run.unrecorded++
	it.run.unrecordedBytes += n
	l.unrecorded++
	l.unrecordedBytes += n
	l.emit(command{verb: doRecord, run: it.run, outcome: o})
}

// alike fails a job whose first prompts were all refused in the same words.
func (l *lane) alike(r *run, a *provider.Answer) {
	refusal := a.Code + "\x00" + a.Message
	if r.refusedAlike == 0 {
		r.refusal = refusal
	}
	if refusal != r.refusal || r.refusedAlike+1 != r.outcomes {
		return
	}
	if r.refusedAlike++; r.refusedAlike == alikeToFail {
		l.fail(r, "The first 100 prompts were all refused alike: "+a.Message)
	}
}
