package dispatcher

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

// metered is a provider that takes rpm requests a minute, holds a second's
// worth of them, says so with each answer, and charges tokens by the line: each
// client's lines begin at a multiple of a billion, and take so many tokens on
// average as tokens says.
type metered struct {
	rpm    float64
	level  float64
	at     time.Duration
	tokens func(client int64) int64
	rng    *rand.Rand
	taken  map[int64]int64 // tokens by client
}

func newMetered(rpm float64, tokens func(client int64) int64) *metered {
	return &metered{rpm: rpm, level: rpm / 60, tokens: tokens, rng: rand.New(rand.NewPCG(1, 1)), taken: map[int64]int64{}}
}

const linesOfAClient = 1_000_000_000

func (m *metered) answer(line int64, at time.Duration) provider.Answer {
	m.level = min(m.rpm/60, m.level+(at-m.at).Minutes()*m.rpm)
	m.at = at
	limits := rate.Limits{RequestsPerMinute: m.rpm, NoneLeft: m.level < 1}
	if m.level < 1 {
		return provider.Answer{Class: provider.SlowDown, Code: job.CodeRateLimit, Message: "slow down", HTTPStatus: 429, Limits: limits, Latency: 50 * time.Millisecond}
	}
	m.level--
	client := line / linesOfAClient
	mean := m.tokens(client)
	total := 1 + m.rng.Int64N(2*mean)
	m.taken[client] += total
	a := done()
	a.TotalTokens, a.Limits = &total, limits
	return a
}

// jain is 1 when all have the same, and 1 ÷ n when one has all.
func jain(taken []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, v := range taken {
		sum += v
		squares += v * v
	}
	return sum * sum / (float64(len(taken)) * squares)
}

// Ten clients, with prompts of a hundred to a thousand tokens, get the same
// tokens of a lane that its provider limits.
func TestTenClientsGetTheSame(t *testing.T) {
	m := newMetered(600, func(client int64) int64 { return 100 * (client + 1) })
	s := newSim(t, m.answer)
	for client := range int64(10) {
		s.job(fmt.Sprint("client", client), client*linesOfAClient+1, 100_000, job.Job{})
	}
	s.run(10 * time.Minute)
	var taken []float64
	for client := range int64(10) {
		taken = append(taken, float64(m.taken[client]))
	}
	index := jain(taken)
	t.Logf("Jain's index %.4f; tokens by client %v", index, taken)
	if index < 0.95 {
		t.Errorf("Jain's index is %.3f, want at least 0.95", index)
	}
}

// A hundred prompts that come while a million of another client's are being
// sent take at most three times as long as alone.
func TestSmallJobBesideAHugeOne(t *testing.T) {
	const small, huge = 1, 2
	took := func(beside bool) time.Duration {
		m := newMetered(600, func(int64) int64 { return 400 })
		s := newSim(t, m.answer)
		if beside {
			s.job("huge", huge*linesOfAClient+1, 1_000_000, job.Job{})
		} else {
			// What the huge job would have taught the lane, it learns first.
			s.job("warm", huge*linesOfAClient+1, 100, job.Job{})
		}
		s.run(2 * time.Minute)
		began := s.since()
		r := s.job("small", small*linesOfAClient+1, 100, job.Job{})
		s.run(5 * time.Minute)
		s.want(r, "COMPLETED")
		return s.endedAt[r] - began
	}
	alone, beside := took(false), took(true)
	t.Logf("alone %v, beside a million %v: %.2f times", alone, beside, beside.Seconds()/alone.Seconds())
	if beside > 3*alone {
		t.Errorf("%v beside a million, %v alone", beside, alone)
	}
}
