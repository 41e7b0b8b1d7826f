//go:build linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Bars of TestCrowdOnARunningJob. That of the status holds where the test has
// the machine to itself but for a quarter: the provider, the server and the
// whole crowd share it anyway, and what strangers take is no fault of theirs.
const (
	crowdStatusBar = 250 * time.Millisecond // p99
	crowdMemoryBar = 512 << 20
)

// TestCrowdOnARunningJob sets watchers (server-sent events) and pollers (a
// status each second) on a job, and tells what that costs the job. No watcher
// may miss the settled final state, and no poll may fail.
//
// The job is bound to a rate, as providers bind it in life, so that what it
// loses is what the crowd takes from it.
//
// The long form (PROMPTFORGE_LONG=1) has 1,000 of each, the short one 100.
func TestCrowdOnARunningJob(t *testing.T) {
	each, prompts, options := 100, 2000, `,"rpm":30000`
	if longForm() {
		each, prompts = 1000, 6000
	}
	d := deploy(t, []string{"--latency", "50ms"})
	limit, stop := context.WithTimeout(context.Background(), 4*time.Minute)
	defer stop()
	begin := time.Now()
	d.end(limit, d.key, d.submit(d.key, options, promptLines(prompts, "alone")))
	alone := time.Since(begin)
	before, idle := d.server.peak(), d.server.cpu()
	ours, all := d.cpu(), machine(t)

	id, upload := d.initiated(d.key, options)
	c := newCrowd(d, id, each)
	polling, stopPolling := context.WithCancel(limit)
	defer stopPolling()
	var watchers, pollers, connected sync.WaitGroup
	for range each {
		connected.Add(2)
		watchers.Go(func() { c.watch(limit, connected.Done) })
		pollers.Go(func() { c.poll(polling, sync.OnceFunc(connected.Done)) })
	}
	connected.Wait()
	begin = time.Now()
	c.countFrom(begin)
	put, err := http.NewRequest("PUT", upload, strings.NewReader(promptLines(prompts, "watched")))
	if err != nil {
		t.Fatal(err)
	}
	call(t, put, 200, nil)
	d.end(limit, d.key, id)
	watched := time.Since(begin)
	spent := d.server.cpu() - idle
	others := max(0, machine(t)-all-(d.cpu()-ours))
	stopPolling()
	watchers.Wait()
	pollers.Wait()
	d.answered(d.key, id, prompts, "watched")

	p50, p99, most := c.percentiles()
	peak := d.server.peak()
	t.Logf("%d watchers and %d pollers: status p50 %s, p99 %s, slowest %s over %d polls; %d events",
		each, each, p50, p99, most, len(c.took), c.events)
	t.Logf("%d prompts alone in %s, watched in %s: %.2f of the speed; the server used %s of processor time for the first and %s for the second, when strangers used %s of %d processors; peak resident memory %d MiB, %d MiB before the crowd",
		prompts, alone.Round(time.Millisecond), watched.Round(time.Millisecond), alone.Seconds()/watched.Seconds(), idle, spent, others, runtime.NumCPU(), peak>>20, before>>20)
	if c.finals != each {
		t.Errorf("%d of %d watchers saw the settled final state", c.finals, each)
	}
	for _, err := range c.errs[:min(len(c.errs), 5)] {
		t.Errorf("one of %d failures: %v", len(c.errs), err)
	}
	switch strangers := others.Seconds() / (watched.Seconds() * float64(runtime.NumCPU())); {
	case p99 <= crowdStatusBar:
	case strangers > 0.25:
		t.Logf("the p99 of a status was %s, but strangers used %.0f%% of the machine: not judged", p99, 100*strangers)
	default:
		t.Errorf("the p99 of a status was %s, want at most %s", p99, crowdStatusBar)
	}
	if peak > crowdMemoryBar {
		t.Errorf("the server's peak resident memory was %d MiB", peak>>20)
	}
}

// cpu is the processor time that the server, the provider and the test have
// used.
func (d *deployment) cpu() time.Duration {
	return d.server.cpu() + d.sim.cpu() + cpu(d.t, os.Getpid())
}

// machine is the processor time that all programs have used.
func machine(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	var n [8]int64 // user, nice, system, idle, iowait, irq, softirq, steal
	for i, field := range strings.Fields(line)[1:9] {
		fmt.Sscan(field, &n[i])
	}
	return time.Duration(n[0]+n[1]+n[2]) * 10 * time.Millisecond
}

func (p *program) cpu() time.Duration {
	p.t.Helper()
	return cpu(p.t, p.cmd.Process.Pid)
}

// cpu is the processor time that a process has used, user and system.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// After the name, which is in brackets, utime and stime are the 12th and
	// 13th; they count hundredths of a second.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var user, system int64
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// crowd is many clients on one job, and what they saw.
type crowd struct {
	url, key string
	http     *http.Client

	mu     sync.Mutex
	from   time.Time // polls count from then on; zero: not yet
	took   []time.Duration
	events int
	finals int
	errs   []error
}

func newCrowd(d *deployment, id string, each int) *crowd {
	return &crowd{
		url: d.server.url + "/v1/jobs/" + id, key: d.key,
		http: &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: 2 * each,
			DialContext:         (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		}},
	}
}

// countFrom leaves out the polls before, among them the rush of connecting.
func (c *crowd) countFrom(from time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from = from
}

func (c *crowd) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

func (c *crowd) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", c.url+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", c.key)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return nil, fmt.Errorf("%s: %s", path, res.Status)
	}
	return res, nil
}

// watch reads one stream to its end, and looks at the last state in it.
func (c *crowd) watch(ctx context.Context, connected func()) {
	res, err := c.get(ctx, "/events")
	connected()
	if err != nil {
		c.failed(fmt.Errorf("a watcher: %w", err))
		return
	}
	defer res.Body.Close()
	var last whole
	events := 0
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		events++
		before := last
		last = whole{}
		if err := json.Unmarshal([]byte(data), &last); err != nil {
			c.failed(fmt.Errorf("a watcher: %w", err))
			return
		}
		if last.CompletedCount < before.CompletedCount || last.FailedCount < before.FailedCount {
			c.failed(fmt.Errorf("a watcher's counts fell from %+v to %+v", before, last))
		}
	}
	if err := lines.Err(); err != nil {
		c.failed(fmt.Errorf("a watcher: %w", err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events += events
	if last.Status == "COMPLETED" && last.CompletedAt != nil && last.CompletedCount == last.PromptCount {
		c.finals++
	}
}

// poll asks for the status once a second, from a random moment on. connected is
// called after each.
func (c *crowd) poll(ctx context.Context, connected func()) {
	defer connected() // also where it never came to a first
	first := time.NewTimer(rand.N(time.Second))
	defer first.Stop()
	select {
	case <-first.C:
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		begin := time.Now()
		err := c.status(ctx)
		took := time.Since(begin)
		connected()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.failed(fmt.Errorf("a poll: %w", err))
		}
		c.mu.Lock()
		if !c.from.IsZero() && begin.After(c.from) {
			c.took = append(c.took, took)
		}
		c.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (c *crowd) status(ctx context.Context) error {
	res, err := c.get(ctx, "/status")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && !json.Valid(body) {
		err = errors.New("no JSON")
	}
	return err
}

func (c *crowd) percentiles() (p50, p99, most time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.took) == 0 {
		return 0, 0, 0
	}
	slices.Sort(c.took)
	n := len(c.took)
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return round(c.took[n/2]), round(c.took[n*99/100]), round(c.took[n-1])
}
