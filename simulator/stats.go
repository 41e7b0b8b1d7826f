package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Stats is what the server saw since it was made, or since POST /_reset. A
// request is a completion or an embedding asked for; lists of models and
// unknown paths are not counted.
//
// Each request ends as exactly one of answered, rate_limited, errors, resets,
// hangs, garbage and aborted, so at rest those seven add up to requests.
type Stats struct {
	Counts

	InFlight    int64 `json:"in_flight"`
	MaxInFlight int64 `json:"max_in_flight"` // refused ones were in flight too

	// Prompts is how many distinct ones were seen, refused ones too.
	Prompts int64 `json:"prompts"`
	// AnsweredMoreThanOnce is how many prompts have 2 answers or more.
	AnsweredMoreThanOnce int64 `json:"answered_more_than_once"`
	MaxAnswersPerPrompt  int64 `json:"max_answers_per_prompt"`

	// The arrivals of the first and the last request; left out before there
	// is one.
	FirstRequestAt time.Time `json:"first_request_at,omitzero"`
	LastRequestAt  time.Time `json:"last_request_at,omitzero"`

	// ByDialect has the counts of each dialect that was spoken: openai,
	// anthropic, gemini, mistral. They add up to those above.
	ByDialect map[string]Counts `json:"by_dialect,omitempty"`
}

// Counts are requests and how they ended.
type Counts struct {
	Requests int64 `json:"requests"`
	// Answered were given a complete answer, also a refusal or an empty one:
	// what a provider would bill. The client may have left while it was sent.
	Answered int64 `json:"answered"`
	// RateLimited got 429 for the rate, also where it was ordered.
	RateLimited int64 `json:"rate_limited"`
	// Errors got any other error.
	Errors int64 `json:"errors"`
	// Resets had their connection reset.
	Resets int64 `json:"resets"`
	// Hangs were left without an answer, counted from the moment they hang.
	Hangs int64 `json:"hangs"`
	// Garbage got 200 and a body that is no answer.
	Garbage int64 `json:"garbage"`
	// Aborted had clients that left before their answer; hangs are not among
	// them.
	Aborted int64 `json:"aborted"`
}

func (c *counters) counts() Counts {
	return Counts{
		Requests: c.requests.Load(), Answered: c.answered.Load(), RateLimited: c.limited.Load(), Errors: c.errors.Load(),
		Resets: c.resets.Load(), Hangs: c.hangs.Load(), Garbage: c.garbage.Load(), Aborted: c.aborted.Load(),
	}
}

func (c *Counts) add(more Counts) {
	c.Requests += more.Requests
	c.Answered += more.Answered
	c.RateLimited += more.RateLimited
	c.Errors += more.Errors
	c.Resets += more.Resets
	c.Hangs += more.Hangs
	c.Garbage += more.Garbage
	c.Aborted += more.Aborted
}

// PromptStats is what the server saw of one prompt.
type PromptStats struct {
	Requests    int64 `json:"requests"`
	Answered    int64 `json:"answered"`
	RateLimited int64 `json:"rate_limited"`
}

// Stats returns the counts. Each is exact; taken while requests run, they may
// be some requests apart from each other.
func (s *Server) Stats() Stats {
	l := &s.ledger
	st := Stats{
		InFlight:             l.inFlight.Load(),
		MaxInFlight:          l.maxInFlight.Load(),
		Prompts:              l.prompts.Load(),
		AnsweredMoreThanOnce: l.repeated.Load(),
		MaxAnswersPerPrompt:  l.maxAnswers.Load(),
		FirstRequestAt:       moment(&l.first),
		LastRequestAt:        moment(&l.last),
	}
	for i, d := range dialects {
		c := l.by[i].counts()
		if c == (Counts{}) {
			continue
		}
		st.add(c)
		if st.ByDialect == nil {
			st.ByDialect = map[string]Counts{}
		}
		st.ByDialect[d.name()] = c
	}
	return st
}

// PromptStats returns the counts of one prompt, all 0 for one never seen.
func (s *Server) PromptStats(prompt string) PromptStats {
	return s.ledger.tally(keyOf(prompt)).stats()
}

func (t tally) stats() PromptStats {
	return PromptStats{int64(t.requests), int64(t.answered), int64(t.limited)}
}

func moment(n *atomic.Int64) time.Time {
	if at := n.Load(); at != 0 {
		return time.Unix(0, at).UTC()
	}
	return time.Time{}
}

// control answers the simulator's own routes, which no provider has.
//
//	GET  /_stats               Stats
//	GET  /_stats?prompts=true  Stats and "by_prompt": {PromptKey: PromptStats}
//	GET  /_stats?prompt=KEY    PromptStats
//	POST /_reset               204; zeroes the counts, attempts and limits
//	POST /_weather             sets the weather: a Weather, or a list of them
//	DELETE /_weather           makes it fair
//	GET  /_weather             the list of what was set, as the other two answer too
func (s *Server) control(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /_weather", "POST /_weather", "DELETE /_weather":
		s.serveWeather(w, r)
	case "POST /_reset":
		s.ledger.reset()
		s.gate.reset()
		w.WriteHeader(http.StatusNoContent)
	case "GET /_stats":
		s.serveStats(w, r)
	default:
		http.Error(w, "The simulator's own routes are GET /_stats, POST /_reset, and GET, POST and DELETE /_weather.", http.StatusNotFound)
	}
}

func (s *Server) serveStats(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = contentJSON
	query := r.URL.Query()
	if query.Has("prompt") {
		k, ok := parseKey(query.Get("prompt"))
		if !ok {
			http.Error(w, "prompt must be a PromptKey: 32 hex digits.", http.StatusBadRequest)
			return
		}
		writeJSON(w, s.ledger.tally(k).stats())
		return
	}
	if query.Get("prompts") != "true" {
		writeJSON(w, s.Stats())
		return
	}
	// Streamed shard by shard: a million prompts are 90 MB of JSON.
	head, err := json.Marshal(s.Stats())
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(w, `%s,"by_prompt":{`, head[:len(head)-1])
	s.ledger.writeTallies(w)
	_, _ = io.WriteString(w, "}}\n")
}

// writeTallies writes the members of by_prompt. No lock is held while it
// writes: a slow reader must not stop the prompts.
func (l *ledger) writeTallies(w io.Writer) {
	var b []byte
	comma := ""
	for i := range l.shards {
		b = b[:0]
		s := &l.shards[i]
		s.mu.Lock()
		for k, t := range s.m {
			b = fmt.Appendf(b, `%s"%s":{"requests":%d,"answered":%d,"rate_limited":%d}`,
				comma, k, t.requests, t.answered, t.limited)
			comma = ","
		}
		s.mu.Unlock()
		if _, err := w.Write(b); err != nil {
			return
		}
	}
}

func writeJSON(w io.Writer, v any) {
	_ = json.NewEncoder(w).Encode(v) // an error is the client's having left
}
