package judge

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The tale that all tests begin with: one client with three jobs. "a" has five
// lines, is killed in the middle and ends as COMPLETED; "b" is cancelled at
// once, "c" deleted.
const client = "acme"

func aFile() *File {
	return &File{Lines: []Line{
		{Number: 1, ID: "1", Prompt: "one", Answer: "I"},
		{Number: 2, ID: `"two"`, Prompt: "two", Answer: "II", Retries: 1},
		{Number: 3, ID: "null", Error: "invalid_line"},
		{Number: 5, ID: "4", Prompt: "four", Error: "invalid_request"},
		{Number: 6, ID: "5", Prompt: "five", Answer: "V"},
	}}
}

func aOutcomes() []Outcome {
	out := []Outcome{
		{Offset: 1, ID: "null", Error: "invalid_line", Line: 3},
		{Offset: 2, ID: "1", Result: "I"},
		{Offset: 3, ID: `"two"`, Result: "II"},
		{Offset: 4, ID: "4", Error: "invalid_request"},
		{Offset: 5, ID: "5", Result: "V"},
	}
	for i := range out {
		out[i].Raw = fmt.Append(nil, out[i])
	}
	return out
}

// whole is a job as it is shown, with changes.
func whole(id, status string, changes map[string]any) []byte {
	m := map[string]any{
		"job_id": id, "status": status, "provider": "openai", "model": "m", "created_at": "C",
		"prompt_count": nil, "completed_count": nil, "failed_count": nil,
		"started_processing_at": nil, "completed_at": nil, "settled_at": nil, "possibly_repaid": 0, "requests_sent": 0,
	}
	maps.Copy(m, changes)
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

type fields = map[string]any

func aCounts() map[string]Count {
	return map[string]Count{"one": {1, 0}, "two": {3, 1}, "four": {1, 0}, "five": {2, 0}, "b": {}}
}

func counted(m map[string]Count) Counts { return func(prompt string) Count { return m[prompt] } }

const (
	resultsFile = `{"prompt_id":1,"result":"I"}` + "\n" + `{"prompt_id":"two","result":"II"}` + "\n" + `{"prompt_id":5,"result":"V"}` + "\n"
	errorsFile  = `{"prompt_id":null,"error":"invalid_line","line":3}` + "\n" + `{"prompt_id":4,"error":"invalid_request"}` + "\n"
)

func download(name, etag, body string) Download {
	return Download{Name: name, ETag: etag, Length: int64(len(body)), Body: []byte(body)}
}

type step struct {
	name string
	do   func(h *History)
}

// end is how "a" is shown in the end.
func end(changes fields) []byte {
	f := fields{
		"prompt_count": 5, "completed_count": 3, "failed_count": 2, "started_processing_at": "S",
		"completed_at": "D", "settled_at": "E", "possibly_repaid": 2, "requests_sent": 6,
	}
	maps.Copy(f, changes)
	return whole("a", "COMPLETED", f)
}

func bEnd() []byte {
	return whole("b", "CANCELLED", fields{"prompt_count": 1, "completed_count": 0, "failed_count": 0, "completed_at": "D", "settled_at": "E"})
}

func tale() []step {
	a, b := aFile(), &File{Lines: []Line{{Number: 1, ID: "1", Prompt: "b", Answer: "B"}}}
	outcomes := aOutcomes()
	stream := func(from, to int) func(h *History) {
		return func(h *History) {
			asked := h.Now()
			for _, o := range outcomes[from:to] {
				h.Streamed(asked, "a", o)
			}
		}
	}
	show := func(w []byte) func(h *History) { return func(h *History) { h.Shown(h.Now(), w) } }
	return []step{
		{"create", func(h *History) {
			h.Created(client, "a", "")
			h.Created(client, "b", "")
			h.Created(client, "c", "")
		}},
		{"awaits", show(whole("a", "AWAITING_UPLOAD", nil))},
		{"sending", func(h *History) { h.Sending("a", a); h.Sending("b", b) }},
		{"uploaded", func(h *History) { h.Uploaded("a", a, 5); h.Uploaded("b", b, 1) }},
		{"pending", show(whole("b", "PENDING", fields{"prompt_count": 1, "completed_count": 0, "failed_count": 0}))},
		{"processing", show(whole("a", "PROCESSING", fields{"prompt_count": 5, "completed_count": 1, "failed_count": 1, "started_processing_at": "S", "requests_sent": 2}))},
		{"first", stream(0, 2)},
		{"partial", func(h *History) {
			h.Downloaded(h.Now(), "a", download("results_part_001.jsonl", "w1", resultsFile[:29]), false)
		}},
		{"cancel", func(h *History) { h.Cancelling("b"); h.Cancelled("b") }},
		{"delete", func(h *History) { h.Deleting("c"); h.Deleted("c") }},
		{"crash", func(h *History) {
			h.Crashed(counted(map[string]Count{"one": {1, 0}, "two": {2, 1}, "five": {1, 0}}))
		}},
		{"list", func(h *History) { h.Listed(h.Now(), client, []json.RawMessage{bEnd(), end(nil)}) }},
		{"missing", func(h *History) { h.Missing("c") }},
		{"end", show(end(nil))},
		{"stream", stream(0, 5)},
		{"ended", func(h *History) { h.Ended("a", 5); h.Ended("b", 0) }},
		{"files", func(h *History) {
			h.Files(h.Now(), "a", []string{"results_part_001.jsonl", "errors.jsonl"})
			h.Files(h.Now(), "b", []string{"errors.jsonl"})
		}},
		{"results", func(h *History) {
			h.Downloaded(h.Now(), "a", download("results_part_001.jsonl", "w2", resultsFile), true)
		}},
		{"errors", func(h *History) { h.Downloaded(h.Now(), "a", download("errors.jsonl", "e", errorsFile), true) }},
		{"nothing", func(h *History) { h.Downloaded(h.Now(), "b", download("errors.jsonl", "0", ""), true) }},
	}
}

// told runs a tale and returns the verdict.
func verdict(steps []step, counts map[string]Count) error {
	h := New()
	for _, s := range steps {
		s.do(h)
	}
	return h.Verdict(counted(counts))
}

func TestKeptPromises(t *testing.T) {
	if err := verdict(tale(), aCounts()); err != nil {
		t.Fatal(err)
	}
	h := New()
	for _, s := range tale() {
		s.do(h)
	}
	if surplus, inFlight := h.Surplus(counted(aCounts())); surplus != 1 || inFlight != 2 {
		t.Errorf("surplus %d of %d in flight, want 1 of 2", surplus, inFlight)
	}
}

// TestRequestsSent: a job that was settled before any crash counts what the
// provider saw, and neither more nor less.
func TestRequestsSent(t *testing.T) {
	for _, c := range []struct {
		name                   string
		sent, unsent, canaries int64
		crashed                bool // before the settlement
		good                   bool
	}{
		{"exact", 3, 0, 0, false, true},
		{"counted twice", 4, 0, 0, false, false},
		{"not counted", 2, 0, 0, false, false},
		{"broken before it left", 4, 1, 0, false, true},
		{"a canary", 4, 0, 1, false, true},
		{"a canary counted twice", 5, 0, 1, false, false},
		{"a canary, and broken", 5, 1, 1, false, true},
		{"a canary counted twice, and broken", 6, 1, 1, false, false},
		{"after a crash", 2, 0, 0, true, true},
	} {
		h := New()
		f := &File{Lines: []Line{{Number: 1, ID: "1", Prompt: "one", Answer: "I"}, {Number: 2, ID: "2", Prompt: "two", Answer: "II", Retries: 1}}}
		h.Created(client, "a", "")
		h.Sending("a", f)
		h.Uploaded("a", f, 2)
		h.Unsent(c.unsent)
		counts := counted(map[string]Count{"one": {1, 0}, "two": {2, 0}, canary: {c.canaries, 0}})
		if c.crashed {
			h.Crashed(counts)
		}
		h.Shown(h.Now(), whole("a", "COMPLETED", fields{
			"prompt_count": 2, "completed_count": 2, "failed_count": 0, "started_processing_at": "S",
			"completed_at": "D", "settled_at": "E", "requests_sent": c.sent,
		}))
		h.checkSent(counts)
		if err := h.Faults(); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestBrokenPromises doctors the tale in one place at a time: each must be
// noticed, and by the right words.
func TestBrokenPromises(t *testing.T) {
	outcome := func(change func(o *Outcome)) func(h *History) {
		return func(h *History) {
			for i, o := range aOutcomes() {
				if i == 4 {
					change(&o)
				}
				h.Streamed(h.Now(), "a", o)
			}
		}
	}
	show := func(w []byte) func(h *History) { return func(h *History) { h.Shown(h.Now(), w) } }
	down := func(d Download) func(h *History) {
		return func(h *History) { h.Downloaded(h.Now(), "a", d, true) }
	}
	for _, c := range []struct {
		name string
		at   string // the step that is replaced; with a +, the one it comes after
		do   func(h *History)
		want string
	}{
		{"a line without a record", "stream", func(h *History) {
			for _, o := range aOutcomes()[:4] {
				h.Streamed(h.Now(), "a", o)
			}
		}, "line 6 has no record"},
		{"a line with two", "+stream", func(h *History) {
			h.Streamed(h.Now(), "a", Outcome{Offset: 6, ID: "1", Result: "I", Raw: []byte("6")})
		}, "has two records"},
		{"another prompt's answer", "stream", outcome(func(o *Outcome) { o.Result = "I" }), "its own is"},
		{"an error in place of an answer", "stream", outcome(func(o *Outcome) { o.Result, o.Error = "", "timeout" }), "its own is"},
		{"an id of nobody", "stream", outcome(func(o *Outcome) { o.ID = "9" }), "which no usable line has"},
		{"an unusable line that is usable", "stream", outcome(func(o *Outcome) { o.Line = 1 }), "of line 1"},
		{"a gap", "stream", outcome(func(o *Outcome) { o.Offset = 6 }), "where 5 was due"},
		{"an outcome that changed", "+stream", func(h *History) {
			o := aOutcomes()[1]
			o.Raw = []byte("other")
			h.Streamed(h.Now(), "a", o)
		}, "outcome 2 was"},
		{"an outcome that was lost", "ended", func(h *History) { h.Ended("a", 4); h.Ended("b", 0) }, "ended after 4 outcomes"},
		{"a prompt sent too often", "", nil, "was sent 4 times"},
		{"a count that fell", "+processing", show(whole("a", "PROCESSING", fields{"prompt_count": 5, "completed_count": 0, "failed_count": 1, "started_processing_at": "S", "requests_sent": 2})), "completed_count fell"},
		{"possibly_repaid that fell", "+end", show(end(fields{"possibly_repaid": 1})), "possibly_repaid fell"},
		{"possibly_repaid too low", "", nil, "were possibly paid for twice"},
		{"a state before", "+end", show(whole("a", "PROCESSING", fields{"prompt_count": 5, "completed_count": 3, "failed_count": 2, "started_processing_at": "S", "requests_sent": 6, "possibly_repaid": 2})), "went from COMPLETED to PROCESSING"},
		{"an unknown state", "+end", show(whole("a", "DONE", nil)), "no job status"},
		{"a time that moved", "+end", show(end(fields{"started_processing_at": "T"})), "started_processing_at was S and is T"},
		{"a change after the settlement", "+end", show(end(fields{"requests_sent": 7})), "changed after its settlement"},
		{"fewer outcomes than were given out", "+first", show(whole("a", "PROCESSING", fields{"prompt_count": 5, "completed_count": 1, "failed_count": 0, "started_processing_at": "S", "requests_sent": 2})), "after a client was given 2"},
		{"counts that do not add up", "end", show(end(fields{"failed_count": 1})), "with 4 outcomes of 5"},
		{"another prompt_count", "end", show(end(fields{"prompt_count": 6, "failed_count": 3})), "shows 6 prompts of 5"},
		{"counts without a file", "end", show(end(fields{"prompt_count": nil})), "counts no prompts"},
		{"settled and not final", "+processing", show(whole("a", "PROCESSING", fields{"prompt_count": 5, "settled_at": "E"})), "settled as PROCESSING"},
		{"final without a time", "end", show(end(fields{"completed_at": nil})), "completed_at is null"},
		{"an upload that was lost", "+uploaded", show(whole("a", "AWAITING_UPLOAD", nil)), "awaits an upload after one was acknowledged"},
		{"an upload counted wrongly", "uploaded", func(h *History) {
			h.Uploaded("a", h.jobs["a"].sending[0], 4)
			h.Uploaded("b", h.jobs["b"].sending[0], 1)
		}, "counts 4 prompts of 5"},
		{"two uploads", "+uploaded", func(h *History) { h.Uploaded("a", &File{}, 0) }, "two files were acknowledged"},
		{"the same file refused", "+uploaded", func(h *History) { h.Refused("a", h.jobs["a"].file) }, "was refused when it came again"},
		{"the only file refused", "+sending", func(h *History) { h.Refused("a", h.jobs["a"].sending[0]) }, "its one file was refused"},
		{"a cancel that nobody asked for", "cancel", func(*History) {}, "nobody asked for it"},
		{"a cancel that was forgotten", "+cancel", show(whole("b", "PENDING", fields{"prompt_count": 1, "completed_count": 0, "failed_count": 0})), "after its cancel was acknowledged"},
		{"a failure", "+processing", show(whole("a", "FAILED", fields{"prompt_count": 5, "completed_count": 1, "failed_count": 1, "completed_at": "D", "failure_reason": "no"})), "is FAILED: no"},
		{"a deleted job that is back", "+delete", show(whole("c", "AWAITING_UPLOAD", nil)), "is there again"},
		{"a deleted job in the list", "list", func(h *History) {
			h.Listed(h.Now(), client, []json.RawMessage{bEnd(), end(nil), whole("c", "AWAITING_UPLOAD", nil)})
		}, "the list says otherwise"},
		{"a job that is gone", "+end", func(h *History) { h.Missing("a") }, "is not there"},
		{"a job that is not listed", "list", func(h *History) { h.Listed(h.Now(), client, []json.RawMessage{end(nil)}) }, "is not listed"},
		{"a job of nobody", "list", func(h *History) {
			h.Listed(h.Now(), client, []json.RawMessage{bEnd(), end(nil), whole("d", "AWAITING_UPLOAD", nil)})
		}, "that no init answered"},
		{"another's job", "list", func(h *History) {
			h.Listed(h.Now(), client, []json.RawMessage{bEnd(), end(nil)})
			h.Listed(h.Now(), "other", []json.RawMessage{end(nil)})
		}, "is listed for other"},
		{"a job given to two", "+create", func(h *History) { h.Created("other", "a", "") }, "was given to acme and to other"},
		{"two active jobs", "+processing", func(h *History) {
			h.Listed(h.Now(), client, []json.RawMessage{
				whole("b", "QUEUED", fields{"prompt_count": 1, "completed_count": 0, "failed_count": 0}),
				whole("a", "PROCESSING", fields{"prompt_count": 5, "completed_count": 1, "failed_count": 1, "started_processing_at": "S", "requests_sent": 2}),
			})
		}, "has 2 active jobs"},
		{"a job that is forgotten", "end", show(whole("a", "PROCESSING", fields{"prompt_count": 5, "completed_count": 3, "failed_count": 2, "started_processing_at": "S", "requests_sent": 6, "possibly_repaid": 2})), "is PROCESSING"},
		{"a file that is cut", "results", down(Download{Name: "results_part_001.jsonl", ETag: "w2", Length: 92, Body: []byte(resultsFile[:90])}), "Content-Length said 92"},
		{"a file that lost a line", "results", down(download("results_part_001.jsonl", "w2", resultsFile[:63])), "no file holds its last outcomes"},
		{"a file with another line", "errors", down(download("errors.jsonl", "e", strings.Replace(errorsFile, "4", "5", 1))), "and the stream had"},
		{"a file with a line more", "errors", down(download("errors.jsonl", "e", errorsFile+errorsFile)), "more lines than the stream"},
		{"a file with a line less", "errors", down(download("errors.jsonl", "e", errorsFile[:51])), "has 1 lines, and the stream had 2"},
		{"a file that is no JSON", "errors", down(download("errors.jsonl", "e", "\x00\x00")), "line 1 of errors.jsonl is"},
		{"a file that lost its beginning", "results", down(download("results_part_001.jsonl", "w2", resultsFile[29:])), "does not begin with what it held before"},
		{"a file that changed under its ETag", "results", down(download("results_part_001.jsonl", "w1", resultsFile)), "kept its ETag"},
		{"a file that changed after the settlement", "+errors", down(download("errors.jsonl", "f", errorsFile)), "changed after the settlement"},
		{"a file that cannot be read", "+errors", func(h *History) { h.Broken("a", "errors.jsonl", "500") }, "cannot be read: 500"},
		{"a file that is not listed any more", "+files", func(h *History) { h.Files(h.Now(), "a", []string{"errors.jsonl"}) }, "is not any more"},
		{"nobody looked at a list", "list", func(*History) {}, "nobody has listed the jobs"},
		{"nobody looked at a job", "end", func(*History) {}, ""},
		{"nobody looked at a deleted one", "missing", func(*History) {}, "whether it is still gone"},
		{"nobody looked at outcomes", "ended", func(h *History) { h.Ended("b", 0) }, "nobody has read its outcomes"},
		{"nobody looked at a list of files", "files", func(h *History) { h.Files(h.Now(), "b", []string{"errors.jsonl"}) }, "nobody has listed its files"},
		{"nobody looked at a file", "errors", func(*History) {}, "nobody has looked at errors.jsonl"},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps, counts := tale(), aCounts()
			switch c.name {
			case "a prompt sent too often":
				counts["five"] = Count{4, 0} // one was due, and it was in flight at one crash
			case "possibly_repaid too low":
				c.at, c.do = "end", show(end(fields{"possibly_repaid": 0}))
				steps = replace(steps, "list", func(h *History) {
					h.Listed(h.Now(), client, []json.RawMessage{bEnd(), end(fields{"possibly_repaid": 0})})
				})
			case "a job that is forgotten", "counts that do not add up", "another prompt_count", "counts without a file", "final without a time":
				steps = replace(steps, "list", func(h *History) {
					c.do(h)
					h.lists[client] = &listLog{at: h.Now(), ids: []string{"a", "b"}}
				})
			case "nobody looked at a job":
				steps = replace(steps, "list", func(h *History) { h.lists[client] = &listLog{at: h.Now(), ids: []string{"a", "b"}} })
				c.want = "job a: nobody has looked at it"
			}
			if c.do != nil {
				steps = replace(steps, c.at, c.do)
			}
			err := verdict(steps, counts)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the verdict is %v, want one of %q", err, c.want)
			}
		})
	}
}

// replace puts do in the place of a step, or after it where its name begins
// with a plus.
func replace(steps []step, at string, do func(h *History)) []step {
	name, after := strings.CutPrefix(at, "+")
	i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
	if i < 0 {
		panic("no step " + name)
	}
	if after {
		return slices.Insert(steps, i+1, step{"doctored", do})
	}
	steps[i].do = do
	return steps
}

// TestSentAgain: a prompt whose outcome a client had before a crash is not sent
// again after it, also where the crash would have allowed it.
func TestSentAgain(t *testing.T) {
	counts := aCounts()
	counts["one"] = Count{2, 0}
	err := verdict(tale(), counts)
	if err == nil || !strings.Contains(err.Error(), "sent again after its outcome was seen") {
		t.Errorf("the verdict is %v", err)
	}
	counts = aCounts()
	counts["two"] = Count{1, 0} // the failure that was ordered never came
	if err := verdict(tale(), counts); err == nil || !strings.Contains(err.Error(), "after 1 requests") {
		t.Errorf("the verdict is %v", err)
	}
}

// TestContinued: a job that continues another may send what has no result
// there, and nothing else.
func TestContinued(t *testing.T) {
	more := func(changes func(o []Outcome)) []step {
		outcomes := []Outcome{
			{Offset: 1, ID: "null", Error: "invalid_line", Line: 3},
			{Offset: 2, ID: "1", Result: "I"},
			{Offset: 3, ID: `"two"`, Result: "II"},
			{Offset: 4, ID: "5", Result: "V"},
			{Offset: 5, ID: "4", Error: "invalid_request"},
		}
		changes(outcomes)
		d := whole("d", "COMPLETED", fields{"prompt_count": 5, "completed_count": 3, "failed_count": 2, "completed_at": "D", "settled_at": "E"})
		return append(tale(),
			step{"continue", func(h *History) { h.Created(client, "d", "a") }},
			step{"list", func(h *History) { h.Listed(h.Now(), client, []json.RawMessage{d, bEnd(), end(nil)}) }},
			step{"stream", func(h *History) {
				for _, o := range outcomes {
					o.Raw = fmt.Append(nil, o)
					h.Streamed(h.Now(), "d", o)
				}
				h.Ended("d", 5)
			}},
			step{"files", func(h *History) {
				h.Files(h.Now(), "d", []string{"results_part_001.jsonl", "errors.jsonl"})
				h.Downloaded(h.Now(), "d", download("results_part_001.jsonl", "w", resultsFile), true)
				h.Downloaded(h.Now(), "d", download("errors.jsonl", "e", errorsFile), true)
			}})
	}
	counts := aCounts()
	counts["four"] = Count{2, 0}
	if err := verdict(more(func([]Outcome) {}), counts); err != nil {
		t.Errorf("a failed prompt was tried again: %v", err)
	}
	counts["five"] = Count{3, 0}
	if err := verdict(more(func([]Outcome) {}), counts); err == nil || !strings.Contains(err.Error(), `"five" was sent 3 times`) {
		t.Errorf("a prompt with a result was sent again: %v", err)
	}
	counts["five"] = Count{2, 0}
	if err := verdict(more(func(o []Outcome) { o[1].Result = "1" }), counts); err == nil || !strings.Contains(err.Error(), "in the job that it continues") {
		t.Errorf("a result that was taken over changed: %v", err)
	}
}

func TestCheckAnswers(t *testing.T) {
	if err := CheckAnswers(aFile(), []byte(resultsFile), []byte(errorsFile)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ results, failures, want string }{
		{resultsFile[:29], errorsFile, "line 2 has no record"},
		{resultsFile, errorsFile[:51], "line 5 has no record"},
		{resultsFile + resultsFile[:29], errorsFile, "two records"},
		{strings.Replace(resultsFile, "II", "I", 1), errorsFile, "its own is"},
		{strings.Replace(resultsFile, "{", "\x00", 1), errorsFile, "line 1 of the files"},
	} {
		if err := CheckAnswers(aFile(), []byte(c.results), []byte(c.failures)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("the verdict is %v, want %q", err, c.want)
		}
	}
}

// TestFewFaults: a verdict stays readable.
func TestFewFaults(t *testing.T) {
	h := New()
	if h.Failed() {
		t.Error("an empty history has faults")
	}
	for range 100 {
		h.fault("a fault")
	}
	if err := h.Faults(); strings.Count(err.Error(), "a fault") != maxFaults || !strings.HasSuffix(err.Error(), "and 60 more") || !h.Failed() {
		t.Errorf("%v", err)
	}
}

// TestEarlyOutcomeOfTwoFiles: an outcome that comes before the acknowledgement
// and fits both files that were sent decides nothing, and is compared once the
// file is known.
func TestEarlyOutcomeOfTwoFiles(t *testing.T) {
	bad := Line{Number: 2, ID: "null", Error: "invalid_line"}
	one := &File{Lines: []Line{{Number: 1, ID: "1", Prompt: "one", Answer: "1"}, bad}}
	two := &File{Lines: []Line{{Number: 1, ID: "1", Prompt: "two", Answer: "2"}, {Number: 2, ID: "null", Error: "duplicate_prompt_id"}}}
	for _, c := range []struct {
		taken *File
		fault bool
	}{{one, false}, {two, true}} {
		h := New()
		h.Created("c", "j", "")
		h.Sending("j", one)
		h.Sending("j", two)
		h.Streamed(h.Now(), "j", Outcome{Offset: 1, ID: "null", Line: 2, Error: "invalid_line"})
		if err := h.Faults(); err != nil {
			t.Fatal(err)
		}
		h.Uploaded("j", c.taken, 2)
		if err := h.Faults(); (err != nil) != c.fault {
			t.Errorf("%v", err)
		}
	}
}
