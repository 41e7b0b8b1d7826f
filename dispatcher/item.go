package dispatcher

import (
	"bytes"
	"container/heap"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

// item is a prompt between being read and being recorded.
type item struct {
	run  *run
	line int64
	raw  []byte // its line; aliases the block that it was read in

	attempts int // requests sent, refusals for the rate left out; one for the prompt's own size counts
	spent    tries

	refused   int   // refusals for the rate
	passed    int64 // requests of the lane that had passed at the first of them
	refusedAt int64 // and at the last
	drained   bool  // it was tried with nothing else in flight
	alone     int   // refusals of its with nothing else in flight and the budget free

	fatals  int   // answers that refused the credential, the account or the model
	fatalAt int64 // requests of the lane that had passed at the last of them

	// excused counts its answers that spent nothing because of the present hold,
	// and verdict is its error record if they come to count after all and leave
	// it no other try.
	excused tries
	verdict *job.Outcome

	failing bool // its last answer was transient or broken
	atFault bool // it failed while a canary passed: no weather excuses it

	left     int64 // requests of the lane that had left, it among them, when it did
	brokenAt int64 // and when its first broken answer came
	heldBack bool  // it is asked again once others, or a canary, tell that it is not the weather

	notBefore time.Time // while waiting for a retry
	seq       uint64    // the order of those that may leave at the same time

	estimate int         // tokens, as reckoned when it was sent
	sized    rate.Size   // what size returns; zero until then
	ticket   rate.Ticket // of its last sending
	probe    bool        // it is out to test a held lane

	key        int // the credential that it was sent with
	generation int // and the set of credentials
	client     *provider.Client
}

// size is what the rate wants to know of it before it leaves.
func (it *item) size() rate.Size {
	if it.sized.Bytes == 0 {
		it.sized = rate.Size{Bytes: len(it.raw), MaxTokens: maxTokens(it.raw)}
	}
	return it.sized
}

// tries are the answers of a prompt that count against it.
type tries struct {
	transient int // retries spent
	broken    int
}

// maxBroken is how many answers of a prompt may be broken.
const maxBroken = 1

// over tells whether a prompt of a run that has spent so much gets no other try.
func (t tries) over(r *run) bool { return t.transient > r.maxRetries || t.broken > maxBroken }

func (t tries) and(u tries) tries { return tries{t.transient + u.transient, t.broken + u.broken} }

// maxTokens is the max_tokens of a line; 0: it has none. Whether the line is
// usable was seen before.
func maxTokens(raw []byte) int {
	const field = `"max_tokens"`
	// In a string of the line its quotes are escaped.
	_, rest, ok := bytes.Cut(raw, []byte(field))
	if !ok {
		return 0
	}
	rest = bytes.TrimLeft(rest, " \t:")
	n := 0
	for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' && n < 1e8 {
		n, rest = 10*n+int(rest[0]-'0'), rest[1:]
	}
	return n
}

// retries holds the items that wait for another try, the earliest first.
type retries []*item

func (r retries) Len() int { return len(r) }
func (r retries) Less(i, j int) bool {
	if r[i].notBefore.Equal(r[j].notBefore) {
		return r[i].seq < r[j].seq
	}
	return r[i].notBefore.Before(r[j].notBefore)
}
func (r retries) Swap(i, j int) { r[i], r[j] = r[j], r[i] }

// Push is for container/heap alone.
func (r *retries) Push(x any) { *r = append(*r, x.(*item)) }

// Pop is for container/heap alone.
func (r *retries) Pop() any {
	old := *r
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*r = old[:len(old)-1]
	return it
}

func (r *retries) add(it *item)  { heap.Push(r, it) }
func (r *retries) first() *item  { return heap.Pop(r).(*item) }
func (r retries) due() time.Time { return r[0].notBefore }
