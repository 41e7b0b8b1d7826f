package rate

import "time"

const (
	// defaultTokensPerByte is what a prompt is taken to cost before an answer
	// told: a token is about 4 bytes, and answers are about as long as prompts.
	defaultTokensPerByte = 0.5
	// tokenRoom is how many mean requests' tokens may be saved up: an answer that
	// was shorter than reckoned gives back what is sent later.
	tokenRoom = 1
	// tokenMemory is over how many answers a mean is taken.
	tokenMemory = 50
	// tokenShare of a named limit of tokens is what is sent.
	tokenShare = 0.99
	// upFrontScale is how many times its real use a request must be charged
	// before it is taken to be charged for the longest answer it asked for.
	upFrontScale = 1.3
	leastScale   = 0.8
	// boundedScale is the most where requests say how long an answer may be.
	boundedScale = 1.15
	// scaleMinutes is over how many minutes the scale is learned.
	scaleMinutes = 10
	mostScale    = 30.0
	// promptPerByte is what a byte of a prompt is reckoned with where the answer
	// is charged in advance.
	promptPerByte = 0.25
	// scaleDecay is by how much the scale falls with each accepted request, so
	// that it is found again when less is charged.
	scaleDecay = 0.0005
	// longestTokenPause is the most seconds without a request after a refusal
	// for the tokens.
	longestTokenPause = 60.0
)

// tokens keeps a lane within the tokens a minute that the provider names. What
// a request takes is known only from its answer, and what it is charged may be
// more: the tokens that it may take at most, charged when it is let in. So a
// scale is learned, from what was let in between two refusals.
type tokens struct {
	pace  Pacer
	limit float64 // a minute; 0: not named

	perByte  float64 // tokens that a byte of a prompt comes to, its answer included
	mean     float64 // of an answered request
	answered int

	bounded  bool    // requests say how long their answers may be
	anew     bool    // it begins to count at the next answer
	upFront  bool    // charged for the longest answer when it is let in
	scale    float64 // charged for each token that is reckoned with
	charged  float64 // tokens that the limit let through between refusals
	reckoned float64 // and what was reckoned for them
	count    float64 // tokens let in since the last refusal
	since    time.Time
	refused  int // in a row
}

func newTokens(perByte float64) tokens {
	if perByte <= 0 {
		perByte = defaultTokensPerByte
	}
	return tokens{perByte: perByte, scale: 1}
}

// estimate is what a prompt of so many bytes will be charged whose answer may
// take most tokens; 0: no bound is known.
func (k *tokens) estimate(bytes, most int) int {
	if most > 0 {
		k.bounded = true
	}
	if k.upFront && most > 0 {
		return max(1, int(float64(bytes)*promptPerByte)+most)
	}
	return max(1, int(float64(bytes)*k.perByte))
}

// hear takes in the limit that an answer names.
func (k *tokens) hear(now time.Time, limit float64) {
	if limit <= 0 || limit == k.limit {
		return
	}
	k.limit = limit
	k.pace.SetRate(now, limit*tokenShare)
	k.since, k.count, k.refused = now, 0, 0
}

func (k *tokens) sent(now time.Time, estimate float64) {
	k.count += estimate
	k.pace.Take(now, estimate*k.scale)
}

func (k *tokens) unsent(now time.Time, estimate float64) {
	k.count -= estimate
	k.pace.Take(now, -estimate*k.scale)
}

// accepted learns from what an answer really took.
func (k *tokens) accepted(now time.Time, f Feedback) {
	if k.refused = 0; k.anew {
		k.anew, k.since, k.count, k.charged, k.reckoned = false, now, 0, 0, 0
	}
	k.scale = max(leastScale, k.scale*(1-scaleDecay))
	if f.Tokens <= 0 {
		return
	}
	real := float64(f.Tokens)
	k.answered++
	share := 1 / float64(min(k.answered, tokenMemory))
	k.mean += (real - k.mean) * share
	k.perByte += (real/float64(max(1, f.Bytes)) - k.perByte) / tokenMemory
	k.pace.room = tokenRoom * k.mean * k.scale
	if !k.upFront {
		k.count += real - f.Ticket.estimate
		k.pace.Take(now, (real-f.Ticket.estimate)*k.scale)
	}
}

// refuses tells whether a refusal is for the tokens.
func (k *tokens) refuses(l Limits) bool {
	if k.limit == 0 || !l.Tokens.Known {
		return false
	}
	return l.RequestsPerMinute <= 0 || l.Requests.Known && l.Requests.Left >= 1
}

// refuse learns from a refusal for the tokens and pauses. fresh is false where
// the request had left before the last refusal came.
func (k *tokens) refuse(now time.Time, f Feedback, fresh bool) {
	k.unsent(now, f.Ticket.estimate)
	if !fresh {
		return
	}
	k.refused++
	// From the beginning on: right after a refusal a window may be shut.
	k.charged += k.limit / 60 * now.Sub(k.since).Seconds()
	k.reckoned += max(0, k.count)
	if k.reckoned > 5*k.mean {
		most := mostScale
		if k.upFront && k.bounded {
			most = boundedScale
		}
		k.scale = min(most, max(leastScale, k.charged/k.reckoned))
		if !k.upFront && k.scale >= upFrontScale {
			k.upFront, k.scale, k.anew = true, 1, true
		}
		if k.charged > scaleMinutes*k.limit {
			k.charged, k.reckoned = k.charged/2, k.reckoned/2
		}
	}
	k.since, k.count = now, 0
	pause := max(k.mean, f.Ticket.estimate) * k.scale / (k.limit / 60) * float64(int(1)<<min(k.refused-1, 6))
	if reset := f.Limits.Tokens.Reset.Seconds(); reset > 0 {
		pause = min(pause, reset)
	}
	k.pace.Begin(now, k.limit*tokenShare, -min(pause, longestTokenPause)*k.limit/60)
}
