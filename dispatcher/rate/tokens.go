package rate

import "time"

const (
	// defaultTokensPerByte is what a prompt is taken to cost before an answer
	// told: a token is about 4 bytes, and answers are about as long as prompts.
	defaultTokensPerByte = 0.5
	promptTokensPerByte  = 0.25
	// tokenMemory is over how many answers a mean is taken.
	tokenMemory = 50
)

// Size is what is known of a request before it leaves.
type Size struct {
	Bytes     int // of the prompt's line
	MaxTokens int // the longest answer that it asks for; 0: not told
}

// tokens keeps a lane within the tokens a minute that the provider names. What
// a request takes is known only from its answer, and what it is charged may be
// more: the tokens that it may take at most.
type tokens struct {
	quotas [parts]quota

	perByte  float64 // tokens that a byte of a prompt comes to, its answer included
	byPrompt float64 // without it
	answer   float64 // tokens of an answer, on average
	mean     float64 // of a request
	charge   float64 // what a request is charged, on average
	answered int

	oversize int // bytes of the smallest prompt that was refused for its size; 0: none was

	log   spendLog
	never takenBack
	since int64 // a refusal of a request with a smaller number is not new
}

func newTokens(perByte float64) tokens {
	if perByte <= 0 {
		perByte = defaultTokensPerByte
	}
	k := tokens{perByte: perByte, byPrompt: promptTokensPerByte}
	for p := range parts {
		k.quotas[p].part = p
	}
	return k
}

// named tells whether any limit of tokens is.
func (k *tokens) named() bool { return k.limit() > 0 }

// limit is the limit of all tokens a minute; 0: none is named.
func (k *tokens) limit() float64 {
	if n := k.quotas[whole].limit; n > 0 {
		return n
	}
	return k.quotas[input].limit + k.quotas[output].limit
}

// estimate is what a prompt will be charged.
func (k *tokens) estimate(s Size) float64 {
	if q := &k.quotas[whole]; q.limit > 0 && q.law.how == upFront && s.MaxTokens > 0 {
		return max(1, k.takes(s).prompts+float64(s.MaxTokens))
	}
	return max(1, float64(s.Bytes)*k.perByte)
}

// takes is what a request is charged when it is let in.
func (k *tokens) takes(s Size) spend {
	prompts := max(1, float64(s.Bytes)*k.byPrompt)
	most := float64(s.MaxTokens)
	if most == 0 {
		most = k.answers(s)
	}
	return spend{requests: 1, prompts: prompts, most: most}
}

// answers is how long a request's answer is reckoned to be.
func (k *tokens) answers(s Size) float64 {
	n := k.answer
	if k.answered == 0 {
		n = float64(s.Bytes) * max(0, k.perByte-k.byPrompt)
	}
	if s.MaxTokens > 0 {
		n = min(n, float64(s.MaxTokens))
	}
	return n
}

// ready is when a request may leave; t or earlier: now.
func (k *tokens) ready(now time.Duration, t float64, s Size) float64 {
	at := t
	if !k.named() {
		return at
	}
	next := k.takes(s)
	if k.beyond(s.Bytes, next) {
		return at // what never fits is not waited for
	}
	k.log.advance(t)
	for p := range parts {
		at = max(at, k.quotas[p].ready(now, t, next, &k.log, k.charge))
	}
	return at
}

// reckon notes in a request's ticket what it is reckoned to take.
func (k *tokens) reckon(ticket *Ticket, s Size) {
	ticket.cost, ticket.answer = k.takes(s), k.answers(s)
}

// sent takes the tokens of a request, and notes in its ticket what was spent.
func (k *tokens) sent(now time.Duration, ticket *Ticket) {
	k.log.add(ticket.at, ticket.cost)
	ticket.spent, ticket.ago = k.log.spent, k.log.minuteAgo(ticket.at)
	if !k.named() {
		return
	}
	for p := range parts {
		q := &k.quotas[p]
		q.sent(now, ticket.at, q.expected(ticket.cost, ticket.answer))
	}
}

// unsent takes back what sent took. next is the number of the request that leaves
// next.
func (k *tokens) unsent(now time.Duration, at float64, t *Ticket, next int64) {
	k.log.add(at, t.cost.negative())
	k.never.add(t, next)
	if !k.named() {
		return
	}
	for p := range parts {
		k.quotas[p].unsent(now, t)
	}
}

// until is what had been spent when a request left, its own included.
func (k *tokens) until(t *Ticket) spend {
	s := t.spent
	s.add(k.never.since(t).negative())
	return s
}

// before is what had been spent when a refused request left.
func (k *tokens) before(t *Ticket) spend {
	s := k.until(t)
	s.add(t.cost.negative())
	return s
}

// accepted learns from what an answer really took, and returns how long it was.
func (k *tokens) accepted(now time.Duration, at float64, f *Feedback) float64 {
	t := &f.Ticket
	answer := t.answer
	if f.Bytes >= k.oversize {
		k.oversize = 0 // it fits after all
	}
	if f.Tokens > 0 {
		prompt := float64(f.PromptTokens)
		if prompt == 0 {
			prompt = min(t.cost.prompts, float64(f.Tokens))
		}
		answer = float64(f.Tokens) - prompt
		k.learn(f, prompt, answer)
	}
	k.log.add(at, spend{answers: answer, settled: t.cost.most})
	if !k.named() {
		return answer
	}
	for p := range parts {
		k.quotas[p].accepted(now, t, answer)
	}
	return answer
}

func (k *tokens) learn(f *Feedback, prompt, answer float64) {
	k.answered++
	share := 1 / float64(min(k.answered, tokenMemory))
	bytes := float64(max(1, f.Bytes))
	k.mean += (float64(f.Tokens) - k.mean) * share
	k.answer += (answer - k.answer) * share
	k.perByte += (float64(f.Tokens)/bytes - k.perByte) / tokenMemory
	k.byPrompt += (prompt/bytes - k.byPrompt) / tokenMemory
	charge := float64(f.Tokens)
	if k.quotas[whole].law.how == upFront {
		charge = prompt + f.Ticket.cost.most
	}
	k.charge += (charge - k.charge) * share
}

// hear takes in the limits that an answer names. Where tokens sent and tokens
// answered are limited apart, the limit of both is one of theirs again.
func (k *tokens) hear(now time.Duration, f *Feedback) {
	if !f.Limits.tokens() {
		return
	}
	l := &f.Limits
	before := k.limit()
	f.Ticket.spent.add(k.never.since(&f.Ticket).negative())
	if f.Verdict != Accepted {
		f.Ticket.spent.add(f.Ticket.cost.negative())
	}
	apart := l.InputTokensPerMinute > 0 || l.OutputTokensPerMinute > 0
	if apart {
		k.quotas[whole].limit = 0
		k.quotas[input].hear(now, f, l.InputTokensPerMinute, l.InputTokens, k.charge)
		k.quotas[output].hear(now, f, l.OutputTokensPerMinute, l.OutputTokens, k.charge)
	} else {
		k.quotas[whole].hear(now, f, l.TokensPerMinute, l.Tokens, k.charge)
	}
	if k.limit() != before {
		k.oversize = 0
	}
}

// refuses tells whether a refusal is for the tokens: what is left of them is
// told and little, and requests are left, or none are counted.
func (k *tokens) refuses(f *Feedback) bool {
	l := &f.Limits
	if l.RequestsPerMinute > 0 && (!l.Requests.Known || l.Requests.Left < 1) {
		return false
	}
	for p := range parts {
		if q := &k.quotas[p]; q.lacks(&f.Ticket, k.charge) {
			return true
		}
	}
	return false
}

// beyond tells whether a prompt alone is more than a limit that is named: no
// pace helps it.
func (k *tokens) beyond(bytes int, cost spend) bool {
	if k.oversize > 0 && bytes >= k.oversize {
		return true
	}
	for p := range parts {
		if k.quotas[p].beyond(cost) {
			return true
		}
	}
	return false
}

// refuseBeyond notes the size of such a prompt that was refused. What its bytes
// come to is learned from prompts of other sizes, and may be told as less later.
func (k *tokens) refuseBeyond(now time.Duration, t float64, f *Feedback, next int64) {
	k.unsent(now, t, &f.Ticket, next)
	if k.oversize == 0 || f.Bytes < k.oversize {
		k.oversize = f.Bytes
	}
}

// refuse learns from a refusal for the tokens and pauses.
func (k *tokens) refuse(now time.Duration, t float64, f *Feedback, next int64) {
	k.unsent(now, t, &f.Ticket, next)
	fresh := f.Ticket.number >= k.since
	k.since = next
	if !fresh {
		return
	}
	for p := range parts {
		if q := &k.quotas[p]; q.lacks(&f.Ticket, k.charge) {
			q.refuse(t, &f.Ticket, k.charge)
		}
	}
}
