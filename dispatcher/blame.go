package dispatcher

import (
	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
)

// blame says that the prompts that failed are themselves at fault, it among
// them: their retries are spent from now on. Where nothing else failed during
// the hold there was no bad weather, and what was excused by it counts: so they
// end after exactly max_retries + 1 requests, unless probes took more.
func (l *lane) blame(it *item) {
	weather := l.hold.weather
	charge := func(it *item) (spent bool) {
		it.atFault = true
		if !weather {
			it.spent, it.excused = it.spent.and(it.excused), tries{}
		}
		return it.spent.over(it.run) && it.verdict != nil
	}
	charge(it)
	for _, r := range l.runs {
		waiting := r.retry
		r.retry = nil
		for _, it := range waiting {
			if it.failing && charge(it) {
				l.finish(it, it.verdict)
				continue
			}
			r.retry.add(it)
		}
	}
}

// maxVerdict bounds what is kept of a provider's answer for a verdict that may
// never be given.
const maxVerdict = 4 << 10

// excuse notes a transient or broken answer that spends nothing, because of a
// hold.
func (it *item) excuse(a *provider.Answer, p *job.Prompt) {
	if a.Class == provider.Broken {
		it.excused.broken++
	} else {
		it.excused.transient++
	}
	if !it.spent.and(it.excused).over(it.run) {
		return
	}
	told := *a
	if len(told.Response) > maxVerdict {
		told.Response = nil
	}
	it.verdict = told.Failure(p, a.Code, it.attempts)
}
