package witness

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/promptforge/promptforge/e2e/judge"
	"github.com/promptforge/promptforge/simulator"
)

// plan is what a client does with one job.
type plan struct {
	file  *judge.File
	body  string
	other *plan // another file that is sent at the same time; nil for none
	twice bool  // the same file is sent twice at the same time

	cancelAt, deleteAt int64 // outcomes that are seen before; -1 for never
	then               *plan // a job that continues this one; it has no file of its own
}

const never = -1

// Sizes are how much a crowd does.
type Sizes struct {
	Clients    int
	Jobs       int // of each client, at most
	MinPrompts int // of a job
	MaxPrompts int
}

// drawPlans draws the jobs of one client.
func drawPlans(r *rand.Rand, name string, s Sizes) []*plan {
	plans := make([]*plan, 1+r.IntN(s.Jobs))
	for i := range plans {
		prompts := s.MinPrompts + r.IntN(s.MaxPrompts-s.MinPrompts+1)
		p := drawFile(r, fmt.Sprintf("%s job %d", name, i), prompts)
		p.cancelAt, p.deleteAt = never, never
		switch r.IntN(8) {
		case 0:
			p.cancelAt = int64(r.IntN(prompts))
		case 1:
			p.deleteAt = int64(r.IntN(prompts))
		case 2:
			p.deleteAt = int64(prompts) // after its end, too
		case 3:
			p.cancelAt = int64(1 + r.IntN(prompts)) // after the upload, or there is nothing to continue
			p.then = &plan{cancelAt: never, deleteAt: never}
		case 4:
			p.then = &plan{cancelAt: never, deleteAt: never}
		}
		switch r.IntN(6) {
		case 0:
			p.twice = true
		case 1:
			p.other = drawFile(r, fmt.Sprintf("%s job %d, another file", name, i), prompts)
		}
		plans[i] = p
	}
	return plans
}

// drawFile draws a prompts file with so many usable lines, and a few others.
func drawFile(r *rand.Rand, name string, usable int) *plan {
	var b strings.Builder
	f := &judge.File{}
	number := 0
	add := func(l judge.Line, text string) {
		number++
		l.Number = number
		b.WriteString(text + "\n")
		if text != "" {
			f.Lines = append(f.Lines, l)
		}
	}
	for n := range usable {
		id := fmt.Sprint(n)
		if n%3 == 0 {
			id = fmt.Sprintf("%q", fmt.Sprintf("p-%d", n))
		}
		l := judge.Line{ID: id, Prompt: fmt.Sprintf("%s, prompt %d", name, n)}
		switch r.IntN(50) {
		case 0:
			l.Prompt += " [[simulate:500:1]]"
			l.Retries = 1
		case 1:
			l.Prompt += " [[simulate:400]]"
			l.Error = "invalid_request"
		case 2:
			l.Prompt += " [[simulate:garbage:1]]"
			l.Retries = 1
		}
		if l.Error == "" {
			l.Answer = simulator.Answer(l.Prompt)
		}
		add(l, fmt.Sprintf(`{"prompt_id":%s,"prompt":%s}`, id, quoted(l.Prompt)))
		switch r.IntN(40) {
		case 0:
			add(judge.Line{ID: "null", Error: "invalid_line"}, "no JSON")
		case 1:
			add(judge.Line{ID: id, Error: "duplicate_prompt_id"}, fmt.Sprintf(`{"prompt_id":%s,"prompt":"again"}`, id))
		case 2:
			add(judge.Line{}, "")
		}
	}
	return &plan{file: f, body: b.String()}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always can be
	}
	return string(b)
}

// DrawFile draws a prompts file with so many usable lines, and a few others.
// Its prompts begin with the name, which no other file may have.
func DrawFile(r *rand.Rand, name string, usable int) (f *judge.File, body string) {
	p := drawFile(r, name, usable)
	return p.file, p.body
}
