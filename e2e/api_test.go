package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/server/apicheck"
	"github.com/promptforge/promptforge/simulator"
)

// whole is the whole job as GET /v1/jobs/{job_id} shows it.
type whole struct {
	Status         string     `json:"status"`
	PromptCount    int64      `json:"prompt_count"`
	CompletedCount int64      `json:"completed_count"`
	FailedCount    int64      `json:"failed_count"`
	StartedAt      *time.Time `json:"started_processing_at"`
	CompletedAt    *time.Time `json:"completed_at"`
	SettledAt      *time.Time `json:"settled_at"`
	RequestsSent   int64      `json:"requests_sent"`
	PossiblyRepaid int64      `json:"possibly_repaid"`
	FailureReason  string     `json:"failure_reason"`
	HoldReason     string     `json:"hold_reason"`
	HeldSince      string     `json:"held_since"`
}

// call does a request and decodes its JSON answer.
func call(t *testing.T, req *http.Request, want int, into any) {
	t.Helper()
	client := http.DefaultClient
	if !strings.HasPrefix(req.URL.Path, "/_") { // those are the simulator's
		client = &http.Client{Transport: apicheck.Transport(t, http.DefaultTransport)}
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != want {
		t.Fatalf("%s %s: %d %s", req.Method, req.URL.Path, res.StatusCode, body)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
}

// submit does the first half of the main job over REST.
func (d *deployment) submit(key, options, prompts string) (id string) {
	d.t.Helper()
	var made struct {
		JobID     string `json:"job_id"`
		UploadURL string `json:"upload_url"`
	}
	call(d.t, d.request("POST", "/v1/jobs/init", key, `{"provider":"openai","model":"gpt-4o-mini"`+options+`}`), 202, &made)
	put, err := http.NewRequest("PUT", made.UploadURL, strings.NewReader(prompts))
	if err != nil {
		d.t.Fatal(err)
	}
	call(d.t, put, 200, nil)
	return made.JobID
}

// initiated makes a job and returns its upload URL.
func (d *deployment) initiated(key, options string) (id, upload string) {
	d.t.Helper()
	var made struct {
		JobID     string `json:"job_id"`
		UploadURL string `json:"upload_url"`
	}
	call(d.t, d.request("POST", "/v1/jobs/init", key, `{"provider":"openai","model":"gpt-4o-mini"`+options+`}`), 202, &made)
	return made.JobID, made.UploadURL
}

func (d *deployment) job(key, id string) (j whole) {
	d.t.Helper()
	call(d.t, d.request("GET", "/v1/jobs/"+id, key, ""), 200, &j)
	return j
}

func (d *deployment) settled(key, id string) (j whole) {
	d.t.Helper()
	until(d.t, "the job's end", func() bool {
		j = d.job(key, id)
		return j.SettledAt != nil
	})
	return j
}

// end waits until a job is settled, longer than settled does and asking less.
func (d *deployment) end(limit context.Context, key, id string) {
	d.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for d.job(key, id).SettledAt == nil {
		select {
		case <-tick.C:
		case <-limit.Done():
			d.t.Fatalf("not settled in time: %+v", d.job(key, id))
		}
	}
}

// answers downloads a job's result files and returns each prompt's answer.
func (d *deployment) answers(key, id string) map[int64]string {
	d.t.Helper()
	var list struct {
		Files []struct{ Filename, URL string }
	}
	call(d.t, d.request("GET", "/v1/jobs/"+id+"/results", key, ""), 200, &list)
	out := map[int64]string{}
	for _, f := range list.Files {
		res, err := http.Get(f.URL)
		if err != nil {
			d.t.Fatal(err)
		}
		dec := json.NewDecoder(res.Body)
		for dec.More() {
			var line struct {
				PromptID int64 `json:"prompt_id"`
				Result   string
				Error    string
			}
			if err := dec.Decode(&line); err != nil {
				d.t.Fatal(err)
			}
			if _, twice := out[line.PromptID]; twice {
				d.t.Fatalf("prompt %d has two records", line.PromptID)
			}
			out[line.PromptID] = line.Result + line.Error
		}
		res.Body.Close()
	}
	return out
}

// answered checks that every line of promptLines(n, text) has its own answer.
func (d *deployment) answered(key, id string, n int, text string) {
	d.t.Helper()
	checkAnswers(d.t, d.answers(key, id), n, text)
}

func checkAnswers(t *testing.T, got map[int64]string, n int, text string) {
	t.Helper()
	if len(got) != n {
		t.Fatalf("%d prompts have a record, want %d", len(got), n)
	}
	for id, answer := range got {
		if want := simulator.Answer(text + " " + jsonNumber(id)); answer != want {
			t.Fatalf("prompt %d has %.80q, want %.80q", id, answer, want)
		}
	}
}

func jsonNumber(n int64) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// stats is what the provider counted.
type stats struct {
	Requests            int64 `json:"requests"`
	Answered            int64 `json:"answered"`
	RateLimited         int64 `json:"rate_limited"`
	Aborted             int64 `json:"aborted"`
	InFlight            int64 `json:"in_flight"`
	Prompts             int64 `json:"prompts"`
	AnsweredMoreThan1   int64 `json:"answered_more_than_once"`
	MaxAnswersPerPrompt int64 `json:"max_answers_per_prompt"`
}

func (d *deployment) stats() (s stats) {
	d.t.Helper()
	req, err := http.NewRequest("GET", d.sim.url+"/_stats", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	call(d.t, req, 200, &s)
	return s
}
