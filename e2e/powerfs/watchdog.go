//go:build power && linux

package powerfs

import (
	"bufio"
	"bytes"
	"fmt"
	"net/rpc"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// hangLimit is how long calls may wait without any being answered: as long as a
// busy machine takes a hundred times over. A drive is looked at 20 times as
// often.
const hangLimit = 20 * time.Second

// HangError says that a disk did not answer and was taken away.
type HangError struct {
	Dir     string
	Why     string
	Waiting []string // the threads that could not be interrupted then
}

func (e *HangError) Error() string {
	text := "the disk on " + e.Dir + " hung and was taken away from the kernel: " + e.Why
	if len(e.Waiting) > 0 {
		text += "; in the kernel waited " + strings.Join(e.Waiting, ", ")
	}
	return text
}

// watch aborts a drive that makes no progress for the limit: its process says
// nothing, or the kernel waits for answers and gets none, or the power was cut
// and whoever did it went away.
func (d *Drive) watch(limit time.Duration) {
	tick := time.NewTicker(limit / 20)
	defer tick.Stop()
	last, moved := Pulse{}, time.Now()
	for {
		select {
		case <-d.ended:
			return
		case <-d.dead:
			return
		case <-tick.C:
		}
		pulse, ok := d.pulse(limit)
		switch {
		case !ok:
			return
		case pulse != last, !pulse.Hanging && d.at().waiting() == 0:
			last, moved = pulse, time.Now()
		case time.Since(moved) > limit:
			_ = d.Abort(d.symptom(last, limit)) // Close tells
			return
		}
	}
}

// pulse asks the process, and aborts a drive that says nothing for the limit.
func (d *Drive) pulse(limit time.Duration) (out Pulse, ok bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	reply := &Pulse{} // an answer that is too late may be written still
	call := d.process.Go("Disk.Pulse", struct{}{}, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return *reply, call.Error == nil
	case <-timer.C:
		_ = d.Abort(fmt.Sprintf("its process has said nothing for %s", limit)) // Close tells
		return Pulse{}, false
	}
}

func (d *Drive) at() connection {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.connection
}

func (d *Drive) symptom(last Pulse, still time.Duration) string {
	if last.Hanging {
		return fmt.Sprintf("its power was cut, and nobody let its calls go for %s", still)
	}
	return fmt.Sprintf("%d calls wait, and none was answered for %s", d.at().waiting(), still)
}

// connections is where the kernel shows what is mounted through FUSE.
const connections = "/sys/fs/fuse/connections"

// connection is a mount as the kernel shows it; empty where that is not to be
// seen.
type connection string

// connectionAt finds a mount without touching it.
func connectionAt(dir string) (connection, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer mounts.Close()
	minor := ""
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		// 36 35 98:0 /mnt1 /mnt2 …
		fields := strings.Fields(lines.Text())
		if len(fields) > 4 && fields[4] == dir {
			_, minor, _ = strings.Cut(fields[2], ":") // the last one lies on top
		}
	}
	if minor == "" {
		return "", fmt.Errorf("nothing is mounted on %s", dir)
	}
	at := filepath.Join(connections, minor)
	if _, err := os.Stat(at); err != nil {
		return "", nil
	}
	return connection(at), nil
}

// waiting is how many calls the kernel waits for.
func (c connection) waiting() int {
	if c == "" {
		return 0
	}
	text, err := os.ReadFile(filepath.Join(string(c), "waiting"))
	if err != nil {
		return 0 // it is unmounted
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return n
}

// abort fails all calls. Where the kernel does not let us, the end of the
// process that serves them does the same, unless it hangs itself.
func (c connection) abort() {
	if c != "" {
		_ = os.WriteFile(filepath.Join(string(c), "abort"), []byte("1"), 0)
	}
}

// showConnections mounts what shows them, where that is missing and may be done.
func showConnections() {
	if entries, err := os.ReadDir(connections); err != nil || len(entries) > 0 {
		return
	}
	var fs syscall.Statfs_t
	const fusectl = 0x65735543
	if syscall.Statfs(connections, &fs) == nil && fs.Type != fusectl {
		_ = syscall.Mount("fusectl", connections, "fusectl", 0, "")
	}
}

// mostWaiting bounds a sentence.
const mostWaiting = 16

// waiting lists the threads of this machine that wait for FUSE and cannot be
// interrupted, with the function of the kernel where they do.
func waiting() []string {
	threads, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	if err != nil {
		return nil
	}
	var list []string
	for _, thread := range threads {
		stat, err := os.ReadFile(filepath.Join(thread, "stat"))
		if err != nil {
			continue // it ended
		}
		// 42 (name) D …
		if _, rest, _ := bytes.Cut(stat, []byte(") ")); !bytes.HasPrefix(rest, []byte("D")) {
			continue
		}
		stack, err := os.ReadFile(filepath.Join(thread, "stack"))
		if err != nil || !bytes.Contains(stack, []byte("fuse")) && !bytes.Contains(stack, []byte("fault")) {
			continue
		}
		name, _, _ := bytes.Cut(stat, []byte(") "))
		list = append(list, fmt.Sprintf("%s) in %s", name, functions(stack)))
	}
	slices.Sort(list)
	if more := len(list) - mostWaiting; more > 0 {
		list = append(list[:mostWaiting], fmt.Sprintf("and %d more", more))
	}
	return list
}

// functions shortens a kernel's stack.
func functions(stack []byte) string {
	var names []string
	for line := range strings.Lines(string(stack)) {
		_, name, _ := strings.Cut(line, "] ")
		name, _, _ = strings.Cut(name, "+")
		names = append(names, name)
		if len(names) == 6 {
			break
		}
	}
	return strings.Join(names, " < ")
}
