package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/promptforge/promptforge/job"
)

const (
	linearRecent = 6   // how many of its last jobs a client works on
	linearRate   = 200 // the least calls a second
)

// TestStatusIsLinearizable lets 16 callers, half of them with a client of their
// own and the others four to a client, make, upload, cancel and look at jobs,
// while the server is killed and stopped again and again. What they were
// answered, each client's history by itself, must be possible for the model in
// jobsModel: porcupine looks for an order of the calls that explains it.
//
// The long form (PROMPTFORGE_LONG=1) takes a minute, the short one some
// seconds.
func TestStatusIsLinearizable(t *testing.T) {
	restarts, apart := 4, int64(400) // calls between them
	if longForm() {
		restarts, apart = 30, 600
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	d := deploy(t, []string{"--latency", "20ms", "--jitter", "--headers=false"}, "--max-in-flight", "64").pinned()
	h := &history{t: t, url: d.server.url, begin: time.Now(), http: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 32},
	}}
	var clients []*linearClient
	for i := range 10 {
		clients = append(clients, &linearClient{history: h, key: d.newKey(fmt.Sprint("linear-", i)), name: fmt.Sprint("linear-", i)})
	}
	var callers sync.WaitGroup
	stop := make(chan struct{})
	h.begin = time.Now()
	for i := range 16 {
		c := clients[min(i, 8+i%2)]
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		callers.Go(func() { c.caller(i, random, stop) })
	}
	goal := int64(0)
	for n := range restarts {
		goal += apart
		until(t, "calls", func() bool { return h.calls.Load() >= goal })
		if n%2 == 0 {
			d.killed()
		} else {
			d.terminated(t)
		}
		h.died()
		d.up()
	}
	goal += apart
	until(t, "calls", func() bool { return h.calls.Load() >= goal })
	close(stop)
	callers.Wait()
	took := h.now()
	// The lives of a fast machine are too short for a job to come to its end.
	until(t, "a job's end", func() bool {
		return slices.ContainsFunc(clients, func(c *linearClient) bool { return c.completed(d) })
	})
	for i, c := range clients {
		c.lookAtAll(16 + i)
	}
	h.died() // nothing is called any more

	rate := float64(h.calls.Load()) / time.Duration(took).Seconds()
	t.Logf("%d calls in %s, %.0f a second; %d restarts; %d answers lost, %d times nobody listened; calls: %s",
		h.calls.Load(), time.Duration(took).Round(time.Millisecond), rate, restarts, h.lost.Load(), h.refused.Load(), h.kinds())
	if rate < linearRate {
		t.Errorf("%.0f calls a second are less than %d", rate, linearRate)
	}
	for _, err := range h.errs[:min(len(h.errs), 5)] {
		t.Errorf("one of %d unexpected answers: %v", len(h.errs), err)
	}
	checked := time.Now()
	for _, c := range clients {
		c.check(t)
	}
	t.Logf("checked in %s", time.Since(checked).Round(time.Millisecond))
	if i := slices.IndexFunc(clients, func(c *linearClient) bool { return c.completed(d) }); i >= 0 {
		clients[i].checkSpoiled(t)
	}
}

// history is what all clients share.
type history struct {
	t     *testing.T
	url   string
	begin time.Time
	http  *http.Client

	calls, lost, refused atomic.Int64

	mu     sync.Mutex
	deaths []int64 // when each server, one after the other, was surely dead
	seen   map[string]int
	errs   []error
}

func (h *history) now() int64 { return int64(time.Since(h.begin)) }

// died says that the server has ended.
func (h *history) died() {
	at := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaths = append(h.deaths, at)
}

// life is which server it is that runs, the first 0.
func (h *history) life() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.deaths)
}

func (h *history) count(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[string]int{}
	}
	h.seen[what]++
}

func (h *history) kinds() string { return fmt.Sprint(h.seen) }

func (h *history) unexpected(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.errs = append(h.errs, fmt.Errorf(format, args...))
}

// linearClient is an API key, its jobs and the history of its calls.
type linearClient struct {
	*history
	key, name string

	jobs struct {
		sync.Mutex
		all []linearJob
	}
	ops struct {
		sync.Mutex
		all  []porcupine.Operation
		open map[int]int // operation to the life of the server whose end ended it
	}
}

type linearJob struct {
	number  int
	id, url string
	prompts int
}

// caller calls until it is told to stop.
func (c *linearClient) caller(number int, random *rand.Rand, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(random.IntN(int(16 * time.Millisecond)))):
		}
		c.once(number, random)
	}
}

func (c *linearClient) once(caller int, random *rand.Rand) {
	j := c.pick(random)
	switch dice := random.IntN(100); {
	case j.id == "" || dice < 4:
		c.init(caller, j)
	case j.url != "" && dice < 16:
		c.upload(caller, j)
	case dice < 19:
		c.cancel(caller, j)
	case dice < 60:
		c.look(caller, j, "/status")
	default:
		c.look(caller, j, "")
	}
}

// pick chooses one of the client's last jobs, seldom an older one, and now and
// then a new one.
func (c *linearClient) pick(random *rand.Rand) linearJob {
	c.jobs.Lock()
	defer c.jobs.Unlock()
	n := len(c.jobs.all)
	if n == 0 || random.IntN(100) < 4 {
		j := linearJob{number: n, prompts: 5 + random.IntN(60)}
		c.jobs.all = append(c.jobs.all, j)
		return j
	}
	if random.IntN(20) == 0 {
		return c.jobs.all[random.IntN(n)]
	}
	return c.jobs.all[n-1-random.IntN(min(n, linearRecent))]
}

func (c *linearClient) init(caller int, j linearJob) {
	req := c.request("POST", c.url+"/v1/jobs/init", `{"provider":"openai","model":"gpt-4o-mini"}`)
	req.Header.Set("Idempotency-Key", fmt.Sprint("job ", j.number))
	var made struct {
		JobID     string  `json:"job_id"`
		UploadURL *string `json:"upload_url"`
	}
	c.do(caller, request{kind: callInit, number: j.number}, req, func(code int, body []byte) (out response, ok bool) {
		if code != http.StatusAccepted || json.Unmarshal(body, &made) != nil {
			return out, false
		}
		c.jobs.Lock()
		defer c.jobs.Unlock()
		kept := &c.jobs.all[j.number]
		kept.id = made.JobID
		if made.UploadURL != nil {
			kept.url = *made.UploadURL
		}
		return response{id: made.JobID, url: made.UploadURL != nil}, true
	})
}

func (c *linearClient) upload(caller int, j linearJob) {
	req := c.request("PUT", j.url, promptLines(j.prompts, fmt.Sprint(c.name, " ", j.number)))
	req.Header.Del("X-API-Key")
	c.do(caller, request{kind: callUpload, number: j.number, prompts: int64(j.prompts)}, req, func(code int, body []byte) (out response, ok bool) {
		var kept struct {
			Status      job.Status `json:"status"`
			PromptCount int64      `json:"prompt_count"`
		}
		switch {
		case code == http.StatusConflict:
			return response{refused: true}, true
		case code != http.StatusOK || json.Unmarshal(body, &kept) != nil:
			return out, false
		}
		return response{seen: seen{status: kept.Status, prompts: kept.PromptCount}}, true
	})
}

func (c *linearClient) cancel(caller int, j linearJob) {
	req := c.request("POST", c.url+"/v1/jobs/"+j.id+"/cancel", "")
	c.do(caller, request{kind: callCancel, number: j.number}, req, func(code int, body []byte) (out response, ok bool) {
		switch code {
		case http.StatusOK:
			return out, strings.Contains(string(body), `"status":"CANCELLED"`)
		case http.StatusConflict: // "The job is COMPLETED; …"
			_, rest, _ := strings.Cut(string(body), "The job is ")
			word, _, _ := strings.Cut(rest, ";")
			status, err := job.ParseStatus(word)
			return response{refused: true, seen: seen{status: status}}, err == nil
		}
		return out, false
	})
}

// look reads the status (path "/status") or the whole job (path "").
func (c *linearClient) look(caller int, j linearJob, path string) {
	req := c.request("GET", c.url+"/v1/jobs/"+j.id+path, "")
	c.do(caller, request{kind: callRead, number: j.number}, req, func(code int, body []byte) (out response, ok bool) {
		var v struct {
			JobID       string     `json:"job_id"`
			Status      job.Status `json:"status"`
			Prompts     *int64     `json:"prompt_count"`
			Completed   *int64     `json:"completed_count"`
			Failed      *int64     `json:"failed_count"`
			StartedAt   string     `json:"started_processing_at"`
			CompletedAt string     `json:"completed_at"`
			SettledAt   string     `json:"settled_at"`
		}
		if code != http.StatusOK || json.Unmarshal(body, &v) != nil || v.JobID != j.id {
			return out, false
		}
		count := func(n *int64) int64 {
			if n == nil {
				return -1
			}
			return *n
		}
		return response{seen: seen{
			status: v.Status, counts: true, whole: path == "",
			prompts: count(v.Prompts), completed: count(v.Completed), failed: count(v.Failed),
			started: v.StartedAt, finished: v.CompletedAt, settledAt: v.SettledAt,
		}}, true
	})
}

// lookAtAll reads every job once more, so that nothing is lost unseen.
func (c *linearClient) lookAtAll(caller int) {
	for _, j := range c.jobs.all {
		if j.id != "" {
			c.look(caller, j, "")
		}
	}
}

func (c *linearClient) request(method, url, body string) *http.Request {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("X-API-Key", c.key)
	return req
}

// do calls, and records the call with what read makes of the answer.
func (c *linearClient) do(caller int, in request, req *http.Request, read func(code int, body []byte) (response, bool)) {
	op := porcupine.Operation{ClientId: caller, Input: in, Call: c.now()}
	lives := c.life()
	code, body, err := c.send(req)
	op.Return = c.now()
	if errors.Is(err, syscall.ECONNREFUSED) { // it was not sent
		c.refused.Add(1)
		return
	}
	c.calls.Add(1)
	if err != nil || code == http.StatusServiceUnavailable {
		c.lost.Add(1)
		c.count(string(in.kind) + " lost")
		if in.kind == callRead {
			return
		}
		op.Output = response{unknown: true}
		until := c.life()
		if err != nil && until > lives {
			until = -1 // the server that it was sent to is dead already
		}
		c.record(op, until)
		return
	}
	out, ok := read(code, body)
	if !ok {
		c.unexpected("%s %s: %d %s", req.Method, req.URL.Path, code, body)
		return
	}
	c.count(fmt.Sprintf("%s %d", in.kind, code))
	op.Output = out
	c.record(op, -1)
}

func (c *linearClient) send(req *http.Request) (code int, body []byte, err error) {
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// completed tells, past the history, whether one of the client's jobs is
// COMPLETED.
func (c *linearClient) completed(d *deployment) bool {
	return slices.ContainsFunc(c.jobs.all, func(j linearJob) bool {
		return j.id != "" && d.job(c.key, j.id).Status == "COMPLETED"
	})
}

// record keeps a call. One whose outcome is not known may be applied until the
// server of the given life is dead; -1 stands for one that has ended.
func (c *linearClient) record(op porcupine.Operation, life int) {
	c.ops.Lock()
	defer c.ops.Unlock()
	if life >= 0 {
		if c.ops.open == nil {
			c.ops.open = map[int]int{}
		}
		c.ops.open[len(c.ops.all)] = life
	}
	c.ops.all = append(c.ops.all, op)
}

// check asks porcupine about the client's history.
func (c *linearClient) check(t *testing.T) {
	t.Helper()
	for n, life := range c.ops.open {
		op := &c.ops.all[n]
		op.Return = max(op.Return, c.deaths[life])
	}
	model := jobsModel()
	result, info := porcupine.CheckOperationsVerbose(model, c.ops.all, time.Minute)
	if result == porcupine.Ok {
		return
	}
	page := filepath.Join(os.TempDir(), c.name+".html")
	if err := porcupine.VisualizePath(model, info, page); err != nil {
		page = err.Error()
	}
	t.Errorf("the history of %s, %d calls on %d jobs: %s; see %s", c.name, len(c.ops.all), len(c.jobs.all), result, page)
}

// checkSpoiled wants the same history refused once a single answer is another:
// the last look at a job that COMPLETED shows one result fewer and one error
// more.
func (c *linearClient) checkSpoiled(t *testing.T) {
	t.Helper()
	spoiled := slices.Clone(c.ops.all)
	for n := len(spoiled) - 1; n >= 0; n-- {
		out := spoiled[n].Output.(response)
		if out.seen.status != job.Completed || !out.seen.whole {
			continue
		}
		out.seen.completed++ // more than the file has
		spoiled[n].Output = out
		if got := porcupine.CheckOperationsTimeout(jobsModel(), spoiled, time.Minute); got != porcupine.Illegal {
			t.Errorf("a history of %d calls with one wrong count: %s, want %s", len(spoiled), got, porcupine.Illegal)
		}
		return
	}
	t.Error("no job COMPLETED")
}
