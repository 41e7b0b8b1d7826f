package dispatcher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func jsonUnmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }

// weather plays a seed to its end.
func weather10(seed uint64) *tempest {
	s := newTempest(seed)
	s.run(stormLength)
	s.check()
	if len(s.faults) == 0 {
		s.calm()
	}
	return s
}

// storms adds up what seeds saw.
type storms struct {
	begin                        time.Time
	seeds, crashes, sent, failed atomic.Int64
}

func (s *storms) String() string {
	return fmt.Sprintf("%d seeds of %s each: %d crashes, %d requests, %d failed, in %s",
		s.seeds.Load(), stormLength, s.crashes.Load(), s.sent.Load(), s.failed.Load(), time.Since(s.begin).Round(time.Second))
}

// TestStorms: over any weather, stalls of the store, a full disk and crashes,
// every line of a job has one outcome, none is sent for which there is one, and
// each request is the first, or one that an answer or a crash asked for.
// PROMPTFORGE_STORMS says how many seeds, PROMPTFORGE_SEED the first of them,
// and PROMPTFORGE_STORMS_FOR after how long none is begun any more.
func TestStorms(t *testing.T) {
	n, first := int64(200), int64(1) // make storms plays a thousand
	if v := os.Getenv("PROMPTFORGE_STORMS"); v != "" {
		fmt.Sscan(v, &n)
	}
	if v := os.Getenv("PROMPTFORGE_SEED"); v != "" {
		fmt.Sscan(v, &first)
	}
	sum := &storms{begin: time.Now()}
	over := func() bool { return false }
	if v := os.Getenv("PROMPTFORGE_STORMS_FOR"); v != "" {
		most, err := time.ParseDuration(v)
		if err != nil {
			t.Fatalf("PROMPTFORGE_STORMS_FOR: %v", err)
		}
		over = func() bool { return time.Since(sum.begin) > most }
	}
	var next atomic.Int64
	next.Store(first)
	var players sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		players.Go(func() {
			for seed := next.Add(1) - 1; seed < first+n && !over(); seed = next.Add(1) - 1 {
				s := weather10(uint64(seed))
				sum.crashes.Add(int64(s.crashes))
				sum.sent.Add(int64(s.sent))
				if len(s.faults) > 0 {
					sum.failed.Add(1)
					report(t, uint64(seed), s)
				}
				if done := sum.seeds.Add(1); done%1000 == 0 && done < n {
					t.Log("so far ", sum)
				}
			}
		})
	}
	players.Wait()
	t.Logf("from seed %d: %s", first, sum)
}

// report writes the log of a run that failed where it can be played again.
func report(t *testing.T, seed uint64, s *tempest) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("promptforge-storm-%d.jsonl", seed))
	f, err := os.Create(path)
	if err == nil {
		err = writeLog(f, s.log)
		f.Close()
	}
	t.Errorf("seed %d: %s\nits %d events are in %s (%v); PROMPTFORGE_REPLAY=%s go test -run TestReplay ./dispatcher plays them again",
		seed, strings.Join(s.faults, "\n"), len(s.log), path, err, path)
}

// TestReplay: the log of a run, played again, makes the lane do exactly the
// same, command by command. PROMPTFORGE_REPLAY names a log to play instead.
func TestReplay(t *testing.T) {
	if path := os.Getenv("PROMPTFORGE_REPLAY"); path != "" {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		steps, err := replay(f)
		t.Logf("%d steps were compared", steps)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	crashes := 0
	for seed := range uint64(20) {
		s := weather10(seed)
		crashes += s.crashes
		var b bytes.Buffer
		if err := writeLog(&b, s.log); err != nil {
			t.Fatal(err)
		}
		if steps, err := replay(bytes.NewReader(b.Bytes())); err != nil || steps < 10 {
			t.Errorf("seed %d: after %d steps: %v", seed, steps, err)
		}
	}
	if crashes == 0 {
		t.Error("no run had a crash in it")
	}
}

// TestReplayNotices: a log that was changed is told from what the lane does.
func TestReplayNotices(t *testing.T) {
	s := weather10(1)
	for i := range s.log {
		e := &s.log[i]
		if e.What == "step" && len(e.Did) > 0 && i > len(s.log)/2 {
			e.Did[0] += " or not"
			break
		}
	}
	var b bytes.Buffer
	if err := writeLog(&b, s.log); err != nil {
		t.Fatal(err)
	}
	if _, err := replay(&b); err == nil || !strings.Contains(err.Error(), "or not") {
		t.Errorf("replay: %v", err)
	}
}

// TestStormCanFail: the judge of storms finds what it is there for.
func TestStormCanFail(t *testing.T) {
	for name, harm := range map[string]func(s *tempest){
		"a line that is sent again": func(s *tempest) { s.byLine[1].sends++ },
		"an outcome that is lost":   func(s *tempest) { s.byLine[1].durable = false },
	} {
		s := newTempest(4)
		s.run(stormLength)
		s.calm()
		if len(s.faults) > 0 {
			t.Fatal(s.faults)
		}
		harm(s)
		if s.check(); len(s.faults) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
}
