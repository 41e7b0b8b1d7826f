package rate

import "math"

const (
	// A window's refusal tells something where leastInWindow requests were accepted
	// since the one before: else what is off in one count is off in the other too.
	leastInWindow = 10
	// outOfTurn is the share, of those that left while a refusal was under way, that
	// may have come in before it, or been refused before it.
	outOfTurn = 0.2
)

// witness is what was seen of a limit, whatever it counts: what was accepted until
// each refusal, and what was accepted although a limit of one measure, as it would
// have to be by the refusals, would have refused it.
type witness struct {
	evidence evidence
	varied   bool // requests are not all alike, as of the last refusal

	since  account // the last refusal that ended a span, and how full a bucket was
	rising amounts // the most a second that was accepted since, beyond that
	rates  amounts // a second, if it is a bucket
	full   [measures]fullest
	most   [2]amounts // the most that was accepted in a minute since, by the clock and in any

	minute minuteByClock
	crowd  crowd
}

// account is what had been accepted at a moment.
type account struct {
	at   float64 // 0: it never was
	all  amounts
	owed amounts // what the request then wanted
}

// fullest is when a bucket that never was full would have held the most since it
// was empty.
type fullest struct{ most, at, all float64 }

// crowd are those that had left before a refused request, and of which it was not
// known when it was judged whether they were refused.
type crowd struct {
	judged  Ticket
	noted   bool    // there are brackets of it
	unheard amounts // of those that were known
	off     amounts // of those that were not
}

// accepted hears of a request that was, when so much had been spent, its own
// included.
func (w *witness) accepted(k *Ticket, t *tokens) {
	if !w.varied || k.at <= w.since.at {
		return
	}
	all, ago, inMinute := amountsOf(t.until(k)), amountsOf(k.ago), w.minute.holds(k.at)
	seconds := k.at - w.since.at
	for m, n := range all {
		if inMinute {
			w.most[0][m] = max(w.most[0][m], n-w.minute.begun.all[m])
		}
		w.most[1][m] = max(w.most[1][m], n-ago[m])
		since := n - w.since.all[m]
		if over := since - w.since.owed[m]; over > w.rising[m]*(seconds+lateSeconds) {
			w.rising[m] = over / (seconds + lateSeconds)
		}
		if level := w.rates[m]*seconds - since; level > w.full[m].most {
			w.full[m] = fullest{level, k.at, n}
		}
	}
}

// judge takes in a refusal that ended a span; it tells whether that says something
// of what is counted.
func (w *witness) judge(k *Ticket, t *tokens, z *[measures]sizes, unknown float64, varied bool) bool {
	w.varied = varied
	w.settle(t)
	all, takes := amountsOf(t.before(k)), amountsOf(k.cost)
	var off, before amounts // before: what the last request that was accepted took
	for m := range measures {
		off[m] = unknown * z[m].unit(m) * (1 + z[m].variance()) // the long are refused
	}
	before[byTokens] = max(0, z[byTokens].mean-z[byPrompt].mean)
	tells := varied && all[byRequest] > w.since.all[byRequest]
	if tells {
		came := takes
		came[byTokens] += t.log.spent.answers - k.spent.answers
		w.note(k, z, all, before, came, off)
		w.most = [2]amounts{}
	}
	for m := range takes {
		takes[m] += before[m]
	}
	w.since, w.rising, w.full = account{k.at, all, takes}, amounts{}, [measures]fullest{}
	w.crowd = crowd{*k, tells, amountsOf(t.never.since(k)), off}
	return tells
}

// settle corrects what the last refusal said by those that were not known yet.
func (w *witness) settle(t *tokens) {
	if w.since.at == 0 {
		return
	}
	c := &w.crowd
	late := amountsOf(t.never.since(&c.judged))
	for m := range measures {
		late[m] -= c.unheard[m]
		w.since.all[m] -= late[m]
		if !c.noted {
			continue
		}
		for f := clockWindow; f < lawsOfLimits; f++ {
			b := &w.evidence.newest()[f][m]
			b.low, b.high, b.off = b.low-late[m], b.high-late[m], b.off-c.off[m]
		}
	}
}

// note adds what a refusal says by each law and measure: with what the last
// request took that was accepted before, the limit was kept, and with what this
// one takes it was not.
func (w *witness) note(k *Ticket, z *[measures]sizes, all, before, takes, off amounts) {
	requests := all[byRequest] - w.since.all[byRequest] + 1
	brackets := w.evidence.add(requests)
	for m := range measures {
		unit := z[m].unit(m)
		// low and high are what was accepted at least and at most.
		set := func(f limiter, low, high, seconds, more, passed, holds float64) {
			low, high = max(0, low-before[m])/seconds, (high+takes[m])/seconds
			brackets[f][m] = bracket{
				low: low, high: high, step: (before[m] + takes[m]) / seconds, passed: passed, holds: holds,
				off:    (more+off[m]+countUnits*unit)/seconds + countError*high,
				others: othersSpread * math.Sqrt(max(1, high*seconds/unit)) * unit / seconds,
			}
		}
		if w.since.at > 0 {
			n, owed, full := all[m]-w.since.all[m], w.since.owed[m]/2, w.full[m]
			for i, depth := range depths {
				if held := depth * unit; full.most > held && k.at > full.at {
					over := all[m] - full.all - held
					set(limiter(i), over, over, k.at-full.at+lateSeconds, depthOff*held, w.rising[m], 1)
				} else {
					set(limiter(i), n-owed, n-owed, k.at-w.since.at, owed, w.rising[m], 1)
				}
			}
		}
		if requests < leastInWindow {
			continue
		}
		passed := func(i int) float64 { return w.most[i][m]*(1-countError) - countUnits*unit }
		n := all[m] - amountsOf(k.ago)[m]
		set(anyMinute, n, n, 1, 0, passed(1), 1)
		if c := &w.minute; w.since.at == 0 && k.at < minuteSeconds {
			set(clockWindow, all[m], all[m], 1, 0, passed(0), 1-k.at/minuteSeconds)
		} else if c.began(k.at) && k.at < c.begun.at+minuteSeconds {
			// Were that minute over, nothing would be refused yet.
			set(clockWindow, all[m]-c.begun.all[m], all[m]-c.early[m], 1, 0, passed(0), 1)
		}
	}
}

// likely is how likely a measure is by all laws, and the one that is most so;
// window is the logarithm of how much likelier a window is than a bucket. Requests
// may be counted with those of others, who are not seen.
func (w *witness) likely(m measure, known kind) (likely float64, by limiter, window float64) {
	most, bucket, all := math.Inf(-1), math.Inf(-1), 0.0
	var sums [2]float64 // of buckets, and of windows
	for f := range lawsOfLimits {
		sum := &sums[0]
		if f.window() {
			sum = &sums[1]
		}
		weight := f.weight(known)
		v, limit := w.evidence.likely(f, m, false)
		all += weight
		if *sum += weight * math.Exp(v); v > most {
			most, by = v, f
		}
		if !f.window() && v > bucket {
			bucket, w.rates[m] = v, limit
		}
		if m == byRequest {
			v, _ := w.evidence.likely(f, m, true)
			*sum += weight * math.Exp(v)
		}
	}
	return math.Log((sums[0] + sums[1]) / all), by, math.Log(sums[1] / sums[0])
}
