package rate

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// queue is a server that does places requests at once and has the others wait
// in their order, as the servers of a model on one machine do. It is kept as full
// as the window permits.
type queue struct {
	window
	rng     *rand.Rand
	refused float64 // share of the requests

	t        float64
	number   int64
	free     floats // when each place is free
	underWay ends
	widest   float64
}

func newQueue(places int, seed uint64) *queue {
	return &queue{window: newWindow(4096), rng: rand.New(rand.NewPCG(seed, 1)), free: make(floats, places)}
}

// answer lets so many requests be answered, each of which takes some seconds
// alone.
func (q *queue) answer(n int, length func() float64) {
	for range n {
		for float64(len(q.underWay)) < q.width() {
			k := Ticket{at: q.t, number: q.number}
			q.number++
			q.sent(k)
			if q.rng.Float64() < q.refused {
				q.gone(k)
				continue
			}
			end := max(q.t, q.free[0]) + length()
			q.free[0] = end
			heap.Fix(&q.free, 0)
			heap.Push(&q.underWay, ending{end, k})
		}
		q.full()
		q.widest = max(q.widest, float64(len(q.underWay)))
		e := heap.Pop(&q.underWay).(ending)
		q.t = e.at
		q.accepted(q.t, e.ticket, q.number)
	}
}

// lognormal is of a mean length.
func (q *queue) lognormal(mean, sigma float64) func() float64 {
	return func() float64 { return mean * math.Exp(sigma*q.rng.NormFloat64()-sigma*sigma/2) }
}

type ending struct {
	at     float64
	ticket Ticket
}

type ends []ending

func (e ends) Len() int           { return len(e) }
func (e ends) Less(a, b int) bool { return e[a].at < e[b].at }
func (e ends) Swap(a, b int)      { e[a], e[b] = e[b], e[a] }
func (e *ends) Push(x any)        { *e = append(*e, x.(ending)) }
func (e *ends) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

type floats []float64

func (f floats) Len() int           { return len(f) }
func (f floats) Less(a, b int) bool { return f[a] < f[b] }
func (f floats) Swap(a, b int)      { f[a], f[b] = f[b], f[a] }
func (f *floats) Push(x any)        { *f = append(*f, x.(float64)) }
func (f *floats) Pop() any          { panic("a place never goes") }

func TestWindowFindsWhatAServerDoesAtOnce(t *testing.T) {
	for _, places := range []int{8, 64, 256} {
		for seed := range uint64(5) {
			q := newQueue(places, seed)
			q.answer(20_000, q.lognormal(1, 0.4))
			n := float64(places)
			if q.limit < 0.85*n || q.limit > 1.3*n || q.widest > slowStep*n {
				t.Errorf("%v at once are of use: the window is %v, and was %v", places, q.limit, q.widest)
			}
			if q.learning {
				t.Error("it still says that it learns")
			}
		}
	}
}

// Somebody's own machine does one at a time.
func TestWindowFloodsNoServerOfOnePlace(t *testing.T) {
	for seed := range uint64(5) {
		q := newQueue(1, seed)
		q.answer(240, q.lognormal(5, 0.4)) // 20 minutes
		if q.widest > slowStep*startConcurrency || q.limit > fineStep*startConcurrency {
			t.Errorf("the window is %v, and was %v", q.limit, q.widest)
		}
		if q.t > q.free[0] {
			t.Errorf("the server was idle at %v", q.t)
		}
	}
}

// Answers take from 0.2 to 30 s by their own length.
func TestWindowGrowsWhereLengthsVary(t *testing.T) {
	for seed := range uint64(5) {
		q := newQueue(1e5, seed)
		length := q.lognormal(4, 1.3)
		q.answer(20_000, func() float64 { return max(0.2, min(30, length())) })
		if q.limit < 256 {
			t.Errorf("after %.0f s the window is %v", q.t, q.limit)
		}
	}
}

func TestWindowOpensWhereLatencyStays(t *testing.T) {
	q := newQueue(1e5, 1)
	q.answer(20_000, q.lognormal(0.05, 0.4))
	if q.limit != 4096 {
		t.Errorf("the window is %v", q.limit)
	}
}

func TestWindowNobodyFillsProvesNothing(t *testing.T) {
	w := newWindow(4096)
	for i := range int64(1000) {
		w.sent(Ticket{at: float64(i) - 0.1, number: i})
		w.accepted(float64(i), Ticket{at: float64(i) - 0.1, number: i}, i+1)
	}
	if w.limit != startConcurrency {
		t.Errorf("the window is %v", w.limit)
	}
}

func TestWindowBecomesNarrowerWhereTheServerBecomesSlower(t *testing.T) {
	q := newQueue(64, 1)
	q.answer(20_000, q.lognormal(1, 0.4))
	q.free = q.free[:16]
	heap.Init(&q.free)
	q.answer(20_000, q.lognormal(1, 0.4))
	if q.limit > 40 {
		t.Errorf("16 of 64 places are left: the window is %v", q.limit)
	}
}

// secondsUntil is when the limit of each of some servers of so many places, whose
// answers take 10 s, first was within bounds after it was at least begin. They are
// sorted. A share of the requests is refused.
func secondsUntil(places int, refused, begin, least, most float64) []float64 {
	var all []float64
	for seed := range uint64(41) {
		q := newQueue(places, seed)
		q.refused = refused
		length := q.lognormal(10, 0.4)
		began := math.Inf(1)
		for q.t < 1200 {
			q.answer(1, length)
			if q.limit >= begin {
				began = min(began, q.t)
			}
			if q.t >= began && q.limit >= least && q.limit <= most {
				break
			}
		}
		all = append(all, q.t-min(began, q.t))
	}
	slices.Sort(all)
	return all
}

// A step takes less than an answer's time, and one that chance spoke against is
// tried again at once.
func TestWindowOpensWithinFewAnswersTime(t *testing.T) {
	for _, refused := range []float64{0, 0.6} {
		all := secondsUntil(1e5, refused, startConcurrency, 256, math.Inf(1))
		if median, worst := all[len(all)/2], all[len(all)-1]; median > 55 || worst > 150 {
			t.Errorf("with %v refused 256 at once took %.0f s, at worst %.0f s", refused, median, worst)
		}
	}
}

func TestWindowLeavesAFloodEarly(t *testing.T) {
	all := secondsUntil(64, 0, 128, 0, 100)
	if median := all[len(all)/2]; median > 20 {
		t.Errorf("twice as many as are of use were under way for %.0f s", median)
	}
}

// An operator may make the most less in the middle of a step, and raise it again.
func TestWindowFollowsAMostThatChanges(t *testing.T) {
	for answers := range 60 {
		q := newQueue(1e5, 1)
		q.answer(answers, q.lognormal(1, 0.4))
		q.most = 4
		q.limit = min(q.limit, q.most)
		q.answer(100, q.lognormal(1, 0.4))
		if q.limit != 4 {
			t.Fatalf("of 4 allowed the window is %v", q.limit)
		}
		q.most = 1024
		q.answer(20_000, q.lognormal(1, 0.4))
		if q.limit < 512 {
			t.Fatalf("after %d answers, a while at 4 and many at 1024 the window is %v", answers, q.limit)
		}
	}
}
