package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/promptforge/promptforge/client"
	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// cutter stands between readers and the server, and cuts their connections.
type cutter struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	open     map[net.Conn]bool
}

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, target: target, open: map[net.Conn]bool{}}
	go c.serve()
	t.Cleanup(func() {
		l.Close()
		c.cut()
	})
	return c
}

func (c *cutter) serve() {
	for {
		reader, err := c.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", c.target)
		if err != nil {
			reader.Close()
			continue
		}
		c.mu.Lock()
		c.open[reader], c.open[server] = true, true
		c.mu.Unlock()
		for _, way := range [][2]net.Conn{{reader, server}, {server, reader}} {
			go func() {
				io.Copy(way[0], way[1])
				c.closed(way[0], way[1])
			}()
		}
	}
}

func (c *cutter) closed(conns ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
		delete(c.open, conn)
	}
}

// cut resets every connection, whatever is on its way, and returns how many
// there were.
func (c *cutter) cut() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.open) / 2
	for conn := range c.open {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	clear(c.open)
	return n
}

// reader follows a job's outcomes. It dies when it is told to; the one that
// takes its place knows only the offset of the last outcome it was given.
type reader struct {
	target, key, job string
	pace             time.Duration // how long it takes over each outcome
	offset           atomic.Int64
	die              atomic.Pointer[context.CancelFunc]
	got              []*promptforgev1.Outcome
	lives            int
}

// follow reads until the job is settled. The deadline bounds all of it.
func (r *reader) follow(deadline context.Context) error {
	for deadline.Err() == nil {
		done, err := r.life(deadline)
		if done || err != nil {
			return err
		}
	}
	return fmt.Errorf("at offset %d: %w", r.offset.Load(), deadline.Err())
}

func (r *reader) life(deadline context.Context) (done bool, err error) {
	r.lives++
	ctx, cancel := context.WithCancel(deadline)
	defer cancel()
	r.die.Store(&cancel)
	c, err := client.Dial(r.target, r.key, client.WithBackoff(func(int) time.Duration { return 20 * time.Millisecond }))
	if err != nil {
		return false, err
	}
	defer c.Close()
	pace := time.NewTicker(max(1, r.pace))
	defer pace.Stop()
	for outcome, err := range c.Results(ctx, r.job, r.offset.Load()) {
		if err != nil {
			if ctx.Err() != nil {
				return false, nil
			}
			return false, err
		}
		r.got = append(r.got, outcome)
		r.offset.Store(outcome.GetOffset())
		if r.pace > 0 {
			<-pace.C
		}
	}
	return true, nil
}

// TestResultsResumeOverKills follows a job with two readers, one that keeps up
// and one that lags behind, while the server is killed, connections are cut and
// readers die, at random moments spread over the job. What each reader was
// given equals what was recorded.
//
// The long form (PROMPTFORGE_LONG=1) has 50 kills, the short one 6.
func TestResultsResumeOverKills(t *testing.T) {
	kills, prompts := 6, 4000
	if longForm() {
		kills, prompts = 50, 40_000
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)

	d := deploy(t, []string{"--latency", "50ms", "--jitter", "--headers=false"}, "--max-in-flight", "128").pinned()
	through := newCutter(t, d.server.grpc)
	id := d.submit(d.key, "", withUnusable(promptLines(prompts, "resume")))
	target := through.listener.Addr().String()
	eager := &reader{target: target, key: d.key, job: id}
	lagging := &reader{target: target, key: d.key, job: id, pace: 300 * time.Microsecond}
	readers := []*reader{eager, lagging}
	limit, stop := context.WithTimeout(context.Background(), 4*time.Minute)
	defer stop()
	ended := make(chan error, len(readers))
	for _, r := range readers {
		go func() { ended <- r.follow(limit) }()
	}

	counted := map[string]int{}
	var connections int
	for n := range kills {
		// Somewhere in the n-th of the equal pieces of the job.
		share := (float64(n) + random.Float64()) / float64(kills)
		goal := int64(share * 0.95 * float64(prompts))
		until(t, "progress of the reader", func() bool { return eager.offset.Load() >= goal })
		switch n % 4 {
		case 0, 2:
			counted["server"]++
			d.killed()
			d.up()
		case 1:
			counted["connection"]++
			connections += through.cut()
		default:
			counted["reader"]++
			(*readers[random.IntN(len(readers))].die.Load())()
		}
	}
	if j := d.job(d.key, id); j.SettledAt != nil {
		t.Log("the job ended before the last kill")
	}
	for range readers {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}

	j := d.settled(d.key, id)
	if j.Status != "COMPLETED" || j.CompletedCount+j.FailedCount != j.PromptCount {
		t.Fatalf("%+v", j)
	}
	fresh := &reader{target: d.server.grpc, key: d.key, job: id}
	if err := fresh.follow(limit); err != nil {
		t.Fatal(err)
	}
	if n := int64(len(fresh.got)); n != j.PromptCount {
		t.Fatalf("a fresh reader was given %d outcomes of %d", n, j.PromptCount)
	}
	sameAsFiles(t, d, id, fresh.got)
	for i, r := range readers {
		sameOutcomes(t, fmt.Sprintf("reader %d", i), r.got, fresh.got)
	}
	t.Logf("%d kills (%v; %d connections cut) over %d outcomes, %d of them errors; the readers took %d and %d lives",
		kills, counted, connections, len(fresh.got), j.FailedCount, eager.lives, lagging.lives)
}

// withUnusable adds to a file lines that become error records.
func withUnusable(prompts string) string {
	return prompts + `{"prompt_id":1,"prompt":"a second time"}` + "\n" + `{"prompt_id":"misspelt","promt":"x"}` + "\nno JSON\n"
}

func sameOutcomes(t *testing.T, who string, got, want []*promptforgev1.Outcome) {
	t.Helper()
	for i, o := range got {
		if i >= len(want) || !proto.Equal(o, want[i]) {
			t.Fatalf("%s: outcome %d is %v, recorded is %v", who, i+1, o, want[min(i, len(want)-1)])
		}
		if o.GetOffset() != int64(i+1) {
			t.Fatalf("%s: outcome %d has offset %d", who, i+1, o.GetOffset())
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s was given %d outcomes, recorded are %d", who, len(got), len(want))
	}
}

// sameAsFiles checks outcomes against the downloaded files: results in their
// order, and errors in theirs.
func sameAsFiles(t *testing.T, d *deployment, id string, outcomes []*promptforgev1.Outcome) {
	t.Helper()
	var results, failures []string
	for _, o := range outcomes {
		promptID := "null"
		switch v := o.GetPromptId().(type) {
		case *promptforgev1.Outcome_StringId:
			promptID = fmt.Sprintf("%q", v.StringId)
		case *promptforgev1.Outcome_Int64Id:
			promptID = fmt.Sprint(v.Int64Id)
		}
		if r := o.GetResult(); r != nil {
			results = append(results, fmt.Sprint(promptID, r.GetResult(), r.GetModel(), r.GetTokensUsed(), r.GetFinishReason(), r.GetAttempts(), r.GetLatencyMs()))
		} else {
			e := o.GetError()
			failures = append(failures, fmt.Sprint(promptID, e.GetError(), e.GetMessage(), e.GetAttempts(), e.GetLine()))
		}
	}
	var inFiles, inErrors []string
	for _, line := range d.resultLines(id) {
		inFiles = append(inFiles, fmt.Sprint(string(line.PromptID), line.Result, line.Model, line.TokensUsed, line.FinishReason, line.Attempts, line.LatencyMS))
	}
	for _, line := range d.errorLines(id) {
		inErrors = append(inErrors, fmt.Sprint(string(line.PromptID), line.Error, line.Message, line.Attempts, line.Line))
	}
	sameLines(t, "results", results, inFiles)
	sameLines(t, "errors", failures, inErrors)
}

func sameLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s: the stream's %d is %.200s, the file's %.200s", what, i+1, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: the stream has %d, the files have %d", what, len(got), len(want))
	}
}

// fileLine is a line of a result file or of errors.jsonl.
type fileLine struct {
	PromptID     json.RawMessage `json:"prompt_id"`
	Result       string          `json:"result"`
	Model        string          `json:"model"`
	TokensUsed   int64           `json:"tokens_used"`
	FinishReason string          `json:"finish_reason"`
	Attempts     int32           `json:"attempts"`
	LatencyMS    int64           `json:"latency_ms"`
	Error        string          `json:"error"`
	Message      string          `json:"message"`
	Line         int32           `json:"line"`
}

func (d *deployment) resultLines(id string) []fileLine { return d.lines(id, "results_part_") }
func (d *deployment) errorLines(id string) []fileLine  { return d.lines(id, "errors") }

// lines are those of a job's files with a prefix, in the order of the listing.
func (d *deployment) lines(id, prefix string) (lines []fileLine) {
	d.t.Helper()
	var list struct {
		Files []struct{ Filename, URL string }
	}
	call(d.t, d.request("GET", "/v1/jobs/"+id+"/results", d.key, ""), 200, &list)
	for _, f := range list.Files {
		if !strings.HasPrefix(f.Filename, prefix) {
			continue
		}
		res, err := http.Get(f.URL)
		if err != nil {
			d.t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			d.t.Fatalf("%s: %d %v", f.Filename, res.StatusCode, err)
		}
		for text := range bytes.Lines(body) {
			var line fileLine
			if err := json.Unmarshal(text, &line); err != nil {
				d.t.Fatalf("%s: %.200q: %v", f.Filename, text, err)
			}
			lines = append(lines, line)
		}
	}
	return lines
}
