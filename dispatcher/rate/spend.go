package rate

// charging is when a provider charges tokens, and for what.
type charging int

const (
	// upFront: the prompt and the longest answer that was asked for, when the
	// request is let in.
	upFront charging = iota
	// byUse: the prompt then, and the answer when it is there.
	byUse
	// reserved: as upFront, and what the answer did not take is given back.
	reserved
	chargings
)

// spend is what a lane spent of tokens so far.
type spend struct {
	requests float64
	prompts  float64 // of all requests
	most     float64 // the longest answers that they asked for
	answers  float64 // the answers that came
	settled  float64 // the longest answers that those could have been
}

func (s *spend) add(o spend) {
	s.requests += o.requests
	s.prompts += o.prompts
	s.most += o.most
	s.answers += o.answers
	s.settled += o.settled
}

// negative is what takes a spending back.
func (s spend) negative() spend {
	return spend{-s.requests, -s.prompts, -s.most, -s.answers, -s.settled}
}

// part is what of a request a limit counts.
type part int

const (
	whole part = iota
	input
	output
	parts
)

// charged is what a limit of a part was charged for a spending.
func (p part) charged(s spend, c charging) float64 {
	n := 0.0
	if p != output {
		n = s.prompts
	}
	switch {
	case p == input:
	case c == upFront:
		n += s.most
	case c == byUse:
		n += s.answers
	case c == reserved:
		n += s.most - s.settled + s.answers
	}
	return n
}

const (
	logSeconds = 0.1
	logBins    = int(minuteSeconds/logSeconds) + 1
)

// spendLog is what was spent at each tenth of a second of the last minute.
type spendLog struct {
	bins  [logBins]spend // at the end of each
	head  int64
	spent spend // now
}

func (g *spendLog) advance(t float64) {
	head := int64(t / logSeconds)
	from := max(g.head, head-int64(logBins))
	for n := from; n < head; n++ {
		g.bins[n%int64(logBins)] = g.spent
	}
	g.head = max(g.head, head)
}

func (g *spendLog) add(t float64, s spend) {
	g.advance(t)
	g.spent.add(s)
}

// minuteAgo is what was spent until a minute before t, which is not before now,
// by a line between two tenths of a second.
func (g *spendLog) minuteAgo(t float64) spend {
	at := t/logSeconds - float64(logBins-1)
	n := int64(at)
	if at < 1 || n < g.head-int64(logBins)+1 {
		return spend{}
	}
	before, after := g.bins[(n-1)%int64(logBins)], g.spent
	if n < g.head {
		after = g.bins[n%int64(logBins)]
	}
	into := at - float64(n)
	return spend{
		before.requests + (after.requests-before.requests)*into,
		before.prompts + (after.prompts-before.prompts)*into,
		before.most + (after.most-before.most)*into,
		before.answers + (after.answers-before.answers)*into,
		before.settled + (after.settled-before.settled)*into,
	}
}

// at is what was spent until a moment of the last minute.
func (g *spendLog) at(t float64) spend { return g.minuteAgo(t + minuteSeconds) }

// takenBack is what the newest refused requests would have been charged.
type takenBack struct {
	ring [64]struct {
		number, next int64 // its own, and the one that left next when it was known
		cost         spend
	}
	n int
}

func (b *takenBack) add(k *Ticket, next int64) {
	e := &b.ring[b.n%len(b.ring)]
	e.number, e.next, e.cost = k.number, next, k.cost
	b.n++
}

// since is what of it was still taken for spent when a request left.
func (b *takenBack) since(k *Ticket) (sum spend) {
	for i := b.n - 1; i >= max(0, b.n-len(b.ring)); i-- {
		e := &b.ring[i%len(b.ring)]
		if e.next <= k.number {
			break
		}
		if e.number < k.number {
			sum.add(e.cost)
		}
	}
	return sum
}
