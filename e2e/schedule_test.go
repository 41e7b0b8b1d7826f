package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/promptforge/promptforge/e2e/judge"
	"github.com/promptforge/promptforge/e2e/witness"
	"github.com/promptforge/promptforge/simulator"
)

// scheduleLimit bounds one schedule, crashes and all.
const scheduleLimit = 90 * time.Second

// life is one process of a server, from its start to its death.
type life struct {
	cmd       *exec.Cmd
	log, out  bytes.Buffer // good once it is dead
	url, grpc string       // good once it listens
	listening chan struct{}
	dead      chan struct{}
}

// startLife starts a program and waits for nothing.
func startLife(program string, env []string, args ...string) (*life, error) {
	l := &life{cmd: exec.Command(program, args...), listening: make(chan struct{}), dead: make(chan struct{})}
	l.cmd.Env = append(os.Environ(), env...)
	l.cmd.Stderr = &l.log
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		lines := bufio.NewReader(out)
		line, err := lines.ReadString('\n')
		l.out.WriteString(line)
		if err == nil {
			for _, field := range strings.Fields(line) {
				if v, ok := strings.CutPrefix(field, "url="); ok {
					l.url = v
				}
				if v, ok := strings.CutPrefix(field, "grpc="); ok {
					l.grpc = v
				}
			}
			close(l.listening)
		}
		io.Copy(&l.out, lines)
		l.cmd.Wait()
		close(l.dead)
	}()
	return l, nil
}

// up waits until the program listens.
func (l *life) up(ctx context.Context) error {
	select {
	case <-l.listening:
		return nil
	case <-l.dead:
		return fmt.Errorf("the server ended at its start: %s", l.log.String())
	case <-ctx.Done():
		return fmt.Errorf("the server did not listen in time: %w", context.Cause(ctx))
	}
}

// kill ends the program where it stands.
func (l *life) kill() {
	l.cmd.Process.Signal(syscall.SIGKILL)
	<-l.dead
}

// stop ends it as an operator does.
func (l *life) stop() error {
	l.cmd.Process.Signal(syscall.SIGTERM)
	<-l.dead
	if code := l.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("it ended with %d: %s", code, l.log.String())
	}
	return nil
}

// stage is where a schedule plays: a provider, a crowd, and a server that dies.
type stage struct {
	seed     uint64
	random   *rand.Rand
	program  string
	env      []string
	data     string
	flags    []string
	provider *witness.Provider
	crowd    *witness.Crowd
	now      *life
	lives    int
}

// newStage prepares a schedule whose server keeps everything in the given folder.
func newStage(seed uint64, data string) (*stage, error) {
	s := &stage{seed: seed, random: rand.New(rand.NewPCG(seed, 0)), program: binary, data: data}
	provider, err := witness.NewProvider(simulator.Config{
		Latency: time.Duration(1+s.random.IntN(20)) * time.Millisecond, Jitter: true, Seed: seed,
	})
	if err != nil {
		return nil, err
	}
	s.provider = provider
	s.env = []string{"OPENAI_API_KEY=any", "OPENAI_BASE_URL=" + provider.URL}
	host := "127.0.0.1"
	if runtime.GOOS == "linux" {
		// An address of its own, so that nobody takes the ports while the
		// server is dead.
		host = fmt.Sprintf("127.%d.%d.%d", 1+seed%200, 1+seed/200%250, 1+os.Getpid()%250)
	}
	s.flags = []string{"--http-addr", host + ":0", "--grpc-addr", host + ":0", "--retry-base", "10ms", "--max-in-flight", "32", "--log-level", "warn"}
	return s, nil
}

// invite waits for the server, keeps its addresses for all later lives, and
// draws a crowd with keys of its own.
func (s *stage) invite(ctx context.Context, sizes witness.Sizes) error {
	if err := s.now.up(ctx); err != nil {
		return err
	}
	s.flags = append(s.flags, "--http-addr", strings.TrimPrefix(s.now.url, "http://"), "--grpc-addr", s.now.grpc)
	var keys []string
	for _, name := range witness.Names(sizes.Clients) {
		key, err := s.key(ctx, name)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	s.crowd = witness.NewCrowd(s.seed, sizes, keys)
	s.crowd.Point(s.now.url, s.now.grpc)
	return nil
}

// start begins the next life.
func (s *stage) start() (err error) {
	s.lives++
	s.now, err = startLife(s.program, s.env, append([]string{"serve", "--data-dir", s.data}, s.flags...)...)
	return err
}

// key makes a client's key through the server that runs.
func (s *stage) key(ctx context.Context, client string) (string, error) {
	cmd := exec.CommandContext(ctx, s.program, "keys", "create", client, "--data-dir", s.data)
	cmd.Env = append(os.Environ(), s.env...)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("keys create: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// died tells the judge that a program is dead.
func (s *stage) died(l *life) error {
	if strings.Contains(l.log.String(), "panic: ") {
		return fmt.Errorf("it panicked: %s", l.log.String())
	}
	if s.crowd == nil {
		return nil // nobody was told anything
	}
	if err := s.provider.Settle(); err != nil {
		return err
	}
	s.crowd.History.Crashed(s.provider.Counts())
	return nil
}

// close ends what is left.
func (s *stage) close() {
	if s.now != nil {
		s.now.kill()
	}
	if s.crowd != nil {
		s.crowd.Close()
	}
	s.provider.Close()
}

// finish waits for the crowd's end, has it look at everything once more, stops
// the server in good order, and asks the judge.
func (s *stage) finish(ctx context.Context, worked <-chan error) error {
	if err := <-worked; err != nil {
		return errors.Join(err, s.crowd.History.Faults())
	}
	if err := s.crowd.Inspect(ctx); err != nil {
		return errors.Join(err, s.crowd.History.Faults())
	}
	if err := s.now.stop(); err != nil {
		return err
	}
	if strings.Contains(s.now.log.String(), "panic: ") {
		return fmt.Errorf("the server panicked: %s", s.now.log.String())
	}
	if err := s.provider.Settle(); err != nil {
		return err
	}
	return s.crowd.History.Verdict(s.provider.Counts())
}

// tally adds up what schedules saw.
type tally struct {
	sync.Mutex
	schedules, crashes int
	prompts, given     int64
	surplus, inFlight  int64
	failed             int
}

func (t *tally) add(s *stage, crashes int) {
	surplus, inFlight := s.crowd.History.Surplus(s.provider.Counts())
	t.Lock()
	defer t.Unlock()
	t.crashes += crashes
	t.prompts += s.crowd.Prompts()
	t.given += s.crowd.Given()
	t.surplus += surplus
	t.inFlight += inFlight
}

func (t *tally) String() string {
	return fmt.Sprintf("%d schedules with %d crashes: %d prompts, %d outcomes given out, %d requests beyond what was due, %d in flight at a crash, %d failed",
		t.schedules, t.crashes, t.prompts, t.given, t.surplus, t.inFlight, t.failed)
}

// killSchedule plays one seed: a crowd at work, and a server that is killed 1
// to 4 times, at random instants, now and then while it starts.
func killSchedule(seed uint64, dir string, sum *tally) error {
	data := filepath.Join(dir, "data")
	s, err := newStage(seed, data)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, stop := context.WithTimeout(context.Background(), scheduleLimit)
	defer stop()
	if err := s.start(); err != nil {
		return err
	}
	if err := s.invite(ctx, witness.Sizes{Clients: 3, Jobs: 2, MinPrompts: 50, MaxPrompts: 300}); err != nil {
		return err
	}
	worked := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		worked <- s.crowd.Work(ctx)
		close(done)
	}()
	kills := 1 + s.random.IntN(4)
	for n := range kills {
		s.wait(ctx, done, kills-n)
		s.now.kill()
		if err := s.died(s.now); err != nil {
			return err
		}
		if err := s.start(); err != nil {
			return err
		}
	}
	if err := s.now.up(ctx); err != nil {
		return err
	}
	if err := s.finish(ctx, worked); err != nil {
		return err
	}
	if err := judge.CheckFolder(ctx, data); err != nil {
		return err
	}
	sum.add(s, kills)
	return nil
}

// wait returns at the instant at which the server is to die: some time after
// its start, which may be before it listens, or when the provider has seen so
// many requests more.
func (s *stage) wait(ctx context.Context, done <-chan struct{}, left int) {
	if s.random.IntN(4) == 0 {
		timer := time.NewTimer(time.Duration(s.random.Int64N(int64(60 * time.Millisecond))))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return
	}
	if s.now.up(ctx) != nil {
		return
	}
	goal := s.provider.Requests() + s.random.Int64N(max(1, 2*(s.crowd.Prompts()-s.provider.Requests())/int64(left+1)))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.provider.Requests() < goal {
		select {
		case <-tick.C:
		case <-done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// schedules plays so many seeds, two at a time, and reports.
func schedules(t *testing.T, n int, play func(seed uint64, dir string, sum *tally) error) *tally {
	t.Helper()
	first := uint64(time.Now().UnixNano()) % 1_000_000_000
	if v := os.Getenv("PROMPTFORGE_SEED"); v != "" {
		fmt.Sscan(v, &first)
	}
	sum, done := &tally{schedules: n}, 0
	seeds := make(chan uint64)
	var players sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		players.Go(func() {
			for seed := range seeds {
				dir := memoryDir(t)
				begin := time.Now()
				if err := play(seed, dir, sum); err != nil {
					t.Errorf("seed %d (PROMPTFORGE_SEED=%d plays it first): %v", seed, seed, err)
					sum.Lock()
					sum.failed++
					sum.Unlock()
				}
				sum.Lock()
				done++
				nth := done
				sum.Unlock()
				t.Logf("%d of %d: seed %d took %s", nth, n, seed, time.Since(begin).Round(time.Millisecond))
				os.RemoveAll(dir)
			}
		})
	}
	for i := range n {
		seeds <- first + uint64(i)
	}
	close(seeds)
	players.Wait()
	return sum
}

// memoryDir is a folder in memory, where there is one: what a killed process
// wrote is there for the next one wherever it lies, and a disk shared with other
// tests only makes it slow.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "promptforge-e2e")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// count is how many schedules are to be played: the short form's, or what an
// environment variable says.
func count(variable string, short int) int {
	if v := os.Getenv(variable); v != "" {
		fmt.Sscan(v, &short)
	}
	return short
}

// TestKillSchedules plays PROMPTFORGE_KILLS schedules.
func TestKillSchedules(t *testing.T) {
	begin := time.Now()
	sum := schedules(t, count("PROMPTFORGE_KILLS", 10), killSchedule)
	if sum.surplus > sum.inFlight {
		t.Errorf("%d requests too many, and %d were in flight", sum.surplus, sum.inFlight)
	}
	t.Logf("%s, in %s", sum, time.Since(begin).Round(time.Millisecond))
}
