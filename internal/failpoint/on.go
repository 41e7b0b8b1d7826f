//go:build failpoint

package failpoint

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Enabled tells whether the program was built with the tag.
const Enabled = true

// ErrInjected is what the action error makes a point return.
var ErrInjected = errors.New("an injected fault")

// fault is what is to happen at a point.
type fault struct {
	action string
	from   int // the visit that is the first to fail
	times  int // 0: for ever
}

var (
	faults = must(parse(os.Getenv("PROMPTFORGE_FAILPOINTS")))
	stall  = must(time.ParseDuration(cmp.Or(os.Getenv("PROMPTFORGE_FAILPOINTS_STALL"), "5s")))

	mu     sync.Mutex
	visits = map[string]int{}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("PROMPTFORGE_FAILPOINTS: " + err.Error())
	}
	return v
}

func parse(text string) (map[string]fault, error) {
	all := map[string]fault{}
	for entry := range strings.SplitSeq(text, ",") {
		if entry == "" {
			continue
		}
		point, action, ok := strings.Cut(entry, "=")
		action, times, hasTimes := strings.Cut(action, "x")
		action, from, hasFrom := strings.Cut(action, "@")
		f := fault{action: action, from: 1, times: 1}
		var err error
		if hasFrom {
			f.from, err = strconv.Atoi(from)
		}
		if hasTimes && err == nil {
			f.times, err = strconv.Atoi(times)
		}
		known := action == "crash" || action == "error" || action == "enospc" || action == "stall"
		if !ok || !known || err != nil {
			return nil, fmt.Errorf("%q is not POINT=crash|error|enospc|stall[@N][xM]", entry)
		}
		all[point] = f
	}
	return all, nil
}

// Hit is a point. It returns the error that is to happen there.
func Hit(point string) error {
	f, ok := faults[point]
	if !ok {
		return nil
	}
	mu.Lock()
	visits[point]++
	n := visits[point]
	mu.Unlock()
	if n < f.from || f.times > 0 && n >= f.from+f.times {
		return nil
	}
	tell(point + " " + f.action + "\n")
	switch f.action {
	case "crash":
		kill()
	case "error":
		return fmt.Errorf("%w at %s", ErrInjected, point)
	case "enospc":
		return &os.PathError{Op: "write", Path: point, Err: syscall.ENOSPC}
	case "stall":
		time.Sleep(stall)
	}
	return nil
}

// kill ends the program as SIGKILL does: no deferred call runs, nothing is
// flushed.
func kill() {
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

// tell appends to the log of faults.
func tell(line string) {
	path := os.Getenv("PROMPTFORGE_FAILPOINTS_LOG")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	if _, err := f.WriteString(line); err != nil {
		panic(err)
	}
	if err := f.Close(); err != nil {
		panic(err)
	}
}
