//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// restartLimit is how long a server may take from its start to its first
// request, at the 99th percentile.
const restartLimit = 2 * time.Second

// rested waits until the dead server's last request is over, and has the
// provider count from zero.
func (d *deployment) rested() {
	d.t.Helper()
	until(d.t, "the end of the last requests", func() bool { return d.stats().InFlight == 0 })
	req, err := http.NewRequest("POST", d.sim.url+"/_reset", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	call(d.t, req, 204, nil)
}

// upAgain starts the killed server and says how long it took from there to the
// first request that the provider saw.
func (d *deployment) upAgain() time.Duration {
	d.t.Helper()
	d.rested()
	begin := time.Now()
	d.up()
	var first time.Time
	until(d.t, "the first request", func() bool {
		first = d.firstRequest()
		return !first.IsZero()
	})
	return first.Sub(begin)
}

func (d *deployment) firstRequest() time.Time {
	d.t.Helper()
	req, err := http.NewRequest("GET", d.sim.url+"/_stats", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	var s struct {
		FirstRequestAt time.Time `json:"first_request_at"`
	}
	call(d.t, req, 200, &s)
	return s.FirstRequestAt
}

// TestRestartToFirstRequest kills a server in the middle of a job,
// PROMPTFORGE_RESTARTS times, and measures from the start of the next one to
// its first request.
func TestRestartToFirstRequest(t *testing.T) {
	kills := count("PROMPTFORGE_RESTARTS", 10)
	d := deploy(t, []string{"--latency", "100ms", "--headers=false"}, "--max-in-flight", "32")
	id := d.submit(d.key, "", promptLines(40_000, "restart"))
	until(t, "its begin", func() bool { return d.job(d.key, id).CompletedCount > 50 })
	took := make([]time.Duration, kills)
	for i := range took {
		done := d.job(d.key, id).CompletedCount
		until(t, "progress", func() bool { return d.job(d.key, id).CompletedCount > done })
		d.killed()
		took[i] = d.upAgain()
	}
	if j := d.job(d.key, id); j.Status != "PROCESSING" {
		t.Fatalf("the job was over before the last kill: %+v", j)
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[(len(took)*99-1)/100]
	t.Logf("from the start to the first request, %d kills: p50 %s, p99 %s, longest %s",
		kills, p50.Round(time.Millisecond), p99.Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	if p99 > restartLimit {
		t.Errorf("p99 is %s, and should be at most %s", p99, restartLimit)
	}
}

// ioRead is what a process has read: through system calls, and from the disk.
func (p *program) ioRead() (calls, disk int64) {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fmt.Sscanf(line, "rchar: %d", &calls)
		fmt.Sscanf(line, "read_bytes: %d", &disk)
	}
	return calls, disk
}

// TestKilledAtNinetyPercent kills a server when 9 of 10 of a job's prompts have
// an outcome: the next one must not read the whole job to go on with it.
// PROMPTFORGE_E2E_PROMPTS=1000000 is the long form.
func TestKilledAtNinetyPercent(t *testing.T) {
	prompts := int64(count("PROMPTFORGE_E2E_PROMPTS", 20_000))
	d := deploy(t, []string{"--latency", "0s", "--headers=false"})
	begin := time.Now()
	id := d.submit(d.key, "", promptLines(int(prompts), "classify this ticket: "+strings.Repeat("the parcel is late ", 8)))
	goal := prompts / 10 * 9
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for d.job(d.key, id).CompletedCount < goal { // as long as it takes
		<-tick.C
	}
	d.killed()
	ran := time.Since(begin)
	took := d.upAgain()
	calls, disk := d.server.ioRead()
	before := d.job(d.key, id)
	for d.job(d.key, id).SettledAt == nil {
		<-tick.C
	}
	j := d.job(d.key, id)
	requests := d.stats().Requests
	t.Logf("%d prompts, killed after %s: %s until it went on, %d KiB read by then (%d KiB from the disk); %d requests for the last %d prompts, possibly_repaid %d",
		prompts, ran.Round(time.Millisecond), took.Round(time.Millisecond), calls>>10, disk>>10, requests, prompts-goal, j.PossiblyRepaid)
	if j.CompletedCount != prompts || before.CompletedCount < goal {
		t.Errorf("in the end %+v, after the kill %+v", j, before)
	}
	if took > restartLimit {
		t.Errorf("it took %s to go on", took)
	}
	// The index of a million prompts has about 10 KiB, a block 1 MiB.
	if calls > 32<<20 {
		t.Errorf("it read %d MiB to go on", calls>>20)
	}
	if requests > prompts-goal+j.PossiblyRepaid {
		t.Errorf("%d requests after the kill for %d prompts without an outcome and %d in doubt", requests, prompts-goal, j.PossiblyRepaid)
	}
}
