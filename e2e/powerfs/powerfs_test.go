//go:build power && linux

package powerfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const childDir = "PROMPTFORGE_TEST_POWERFS"

func init() { ServeIfAsked() }

// TestMain lets the test binary be the program that uses the disk, too.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := use(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// use does a little of all that a store and a folder of files do.
func use(dir string) error {
	if err := ownsNoDisk(); err != nil {
		return err
	}
	path := filepath.Join(dir, "a", "b", "file")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return err
	}
	if err := f.Truncate(16 << 10); err != nil {
		return err
	}
	mapped, err := syscall.Mmap(int(f.Fd()), 0, 1<<30, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	for i := range 4 {
		page := bytes.Repeat([]byte{byte('a' + i)}, 4096)
		_ = mapped[i*4096] // cached before the write
		if _, err := f.WriteAt(page, int64(i)*4096); err != nil {
			return err
		}
		if !bytes.Equal(mapped[i*4096:(i+1)*4096], page) {
			return fmt.Errorf("the map does not show what was written to page %d", i)
		}
	}
	if err := syscall.Fdatasync(int(f.Fd())); err != nil {
		return err
	}
	link := path + ".link"
	if err := errors.Join(os.Link(path, link), os.Rename(link, path+".renamed"), os.Remove(path), os.Remove(filepath.Join(dir, "none"))); err != nil && !strings.Contains(err.Error(), "none") {
		return err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	if len(entries) != 1 || entries[0].Name() != "file.renamed" {
		return fmt.Errorf("the folder holds %v", entries)
	}
	read, err := os.ReadFile(path + ".renamed")
	if err != nil {
		return err
	}
	if len(read) != 16<<10 || read[5000] != 'b' {
		return fmt.Errorf("it reads %d bytes", len(read))
	}
	if os.Remove(filepath.Dir(path)) == nil {
		return errors.New("a folder that is not empty was removed")
	}
	for _, d := range []string{filepath.Join(dir, "a", "b"), filepath.Join(dir, "a"), dir} {
		f, err := os.Open(d)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "unsynced"), []byte("x"), 0o600)
}

// ownsNoDisk: a program that inherits the connection over which its own disk is
// served cannot be killed once nobody else serves it.
func ownsNoDisk() error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && to == "/dev/fuse" {
			return errors.New("a program that uses a disk serves it as well")
		}
	}
	return nil
}

// user is a program that uses a disk.
func user(dir string) (cmd *exec.Cmd, log *bytes.Buffer) {
	cmd, log = exec.Command(os.Args[0]), &bytes.Buffer{}
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stdout, cmd.Stderr = log, log
	return cmd, log
}

func drive(t *testing.T, limit time.Duration) *Drive {
	t.Helper()
	if err := Check(); err != nil {
		t.Fatal(err)
	}
	d, err := start(t.TempDir(), limit)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestMounted: a program uses a disk, and what it synced is there after cuts.
func TestMounted(t *testing.T) {
	other := drive(t, hangLimit) // its connection must not be inherited either
	d := drive(t, hangLimit)
	cmd, log := user(d.dir)
	if err := cmd.Run(); err != nil {
		t.Errorf("%v: %s", err, log)
	}
	for seed := range uint64(20) {
		before, after := t.TempDir(), t.TempDir()
		if err := d.Export(before); err != nil {
			t.Fatal(err)
		}
		if seed%2 == 0 {
			if err := d.ExportSurvivor(after, seed); err != nil {
				t.Fatal(err)
			}
		} else if err := errors.Join(d.Replace(seed), d.Export(after)); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(before, "a", "b", "file.renamed"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(after, "a", "b", "file.renamed")); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("seed %d: what was synced is not there: %v", seed, err)
		}
	}
	if err := errors.Join(d.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	if err := d.Export(t.TempDir()); err == nil {
		t.Error("a drive that was closed was exported")
	}
}

// TestDriveCut: the rule, the cut and the resumption reach the process.
func TestDriveCut(t *testing.T) {
	d := drive(t, hangLimit)
	if err := d.CutAt(Rule{Kind: "mkdir", N: 2}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cmd, log := user(d.dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-d.Gone()
		if err := d.Release(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(log.String(), "input/output error") {
			t.Fatalf("at the cut: %v %s", err, log)
		}
		if err := errors.Join(d.Resume(), d.CutAt(Rule{N: 1, Done: true})); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(d.Cut(), d.Cut()); err != nil {
		t.Error(err)
	}
	<-d.Gone()
	to := t.TempDir()
	if err := d.Export(to); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(to, "a")); err != nil {
		t.Error("what was done before the cut is gone after the resumption:", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestHang: a disk that stands still is taken away, and whoever waits for it
// gets an error.
func TestHang(t *testing.T) {
	for name, c := range map[string]struct {
		hang func(d *Drive) error
		says string
	}{
		"a cut that is forgotten": {func(*Drive) error { return nil }, "nobody let its calls go"},
		"a process that stops":    {func(d *Drive) error { return d.cmd.Process.Signal(syscall.SIGSTOP) }, "its process has said nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := drive(t, 2*time.Second)
			if err := d.CutAt(Rule{N: 1}); err != nil {
				t.Fatal(err)
			}
			cmd, log := user(d.dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-d.Gone()
			if err := c.hang(d); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Errorf("the disk was used: %s", log)
			}
			var hang *HangError
			if err := d.CutAt(Rule{}); !errors.As(err, &hang) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("asked for more: %v", err)
			}
			if err := d.Close(); !errors.As(err, &hang) || hang.Dir != d.dir {
				t.Errorf("closed: %v", err)
			}
			if _, err := connectionAt(d.dir); err == nil {
				t.Error("it is still mounted")
			}
		})
	}
}

// TestUnanswered: calls that the kernel keeps waiting are told from a process
// that is dead.
func TestUnanswered(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "waiting"), []byte("3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &Drive{connection: connection(dir)}
	if got := d.symptom(Pulse{Calls: 5}, 21*time.Second); got != "3 calls wait, and none was answered for 21s" {
		t.Error(got)
	}
	d.connection.abort()
	if text, err := os.ReadFile(filepath.Join(dir, "abort")); err != nil || string(text) != "1" {
		t.Errorf("%q, %v", text, err)
	}
	if n := connection("").waiting() + connection(t.TempDir()).waiting(); n != 0 {
		t.Errorf("%d calls wait for nobody", n)
	}
	if got := functions([]byte("[<0>] request_wait_answer+0x151/0x210\n[<0>] fuse_perform_write+0x335/0x7f0\n")); got != "request_wait_answer < fuse_perform_write" {
		t.Error(got)
	}
}

func TestNoFUSE(t *testing.T) {
	if err := check(filepath.Join(t.TempDir(), "fuse")); err == nil || !strings.Contains(err.Error(), "run the test where /dev/fuse is") {
		t.Errorf("without the device: %v", err)
	}
	if _, err := New().mountAt(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("mounted on a folder that is not there")
	}
	if _, err := Start(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a drive on a folder that is not there")
	}
	if err := serve(filepath.Join(t.TempDir(), "missing"), nil, nil); err == nil || !strings.Contains(err.Error(), "mounting on") {
		t.Errorf("served on a folder that is not there: %v", err)
	}
}

// one does a few steps on a disk that is not mounted.
func one() (d *Disk, dir, file *node) {
	d = New()
	dir, file = d.make(syscall.S_IFDIR|0o700), d.make(syscall.S_IFREG|0o600)
	d.name(edit{d.root, "dir", dir})
	d.name(edit{dir, "file", file})
	file.write(0, bytes.Repeat([]byte("x"), 4096))
	return d, dir, file
}

// outcomes are what many seeds leave of dir/file.
func outcomes(t *testing.T, prepare func() *Disk) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for seed := range uint64(300) {
		root := prepare().Survive(seed).root
		dir := root.entries["dir"]
		switch {
		case dir == nil:
			seen["no dir"] = true
		case dir.entries["file"] == nil:
			seen["no file"] = true
		default:
			got := dir.entries["file"].data
			switch x := bytes.Count(got, []byte("x")); {
			case x == 4096:
				seen["whole"] = true
			case len(got) == 0:
				seen["empty"] = true
			case x == 0:
				seen["zeros"] = true
			default:
				seen["torn"] = true
			}
		}
	}
	return seen
}

// TestEachSyncCounts: what is synced is there whatever the seed, and what is not
// is lost in every way.
func TestEachSyncCounts(t *testing.T) {
	for _, c := range []struct {
		name  string
		syncs func(d *Disk, dir, file *node)
		want  string
	}{
		{"nothing", func(*Disk, *node, *node) {}, "no dir, no file, whole, empty, torn"},
		{"content", func(d *Disk, _, file *node) { d.sync(file) }, "no dir, no file, whole"},
		{"content and name", func(d *Disk, dir, file *node) { d.sync(file); d.sync(dir) }, "no dir, whole"},
		{"names", func(d *Disk, dir, _ *node) { d.sync(dir); d.sync(d.root) }, "whole, empty, torn"},
		{"all", func(d *Disk, dir, file *node) { d.sync(file); d.sync(dir); d.sync(d.root) }, "whole"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := outcomes(t, func() *Disk {
				d, dir, file := one()
				c.syncs(d, dir, file)
				return d
			})
			delete(seen, "zeros") // rare
			want := strings.Split(c.want, ", ")
			for _, w := range want {
				if !seen[w] {
					t.Errorf("no seed left %q", w)
				}
			}
			if len(seen) != len(want) {
				t.Errorf("seeds left %v, want %v", seen, want)
			}
		})
	}
}

// TestRename is never half done.
func TestRename(t *testing.T) {
	kept := map[string]bool{}
	for seed := range uint64(100) {
		d, dir, file := one()
		d.sync(file)
		d.sync(dir)
		d.sync(d.root)
		d.name(edit{dir: dir, name: "file"}, edit{dir, "other", file})
		after := d.Survive(seed).root.entries["dir"].entries
		if len(after) != 1 {
			t.Fatalf("seed %d: the folder holds %v", seed, after)
		}
		for name := range after {
			kept[name] = true
		}
	}
	if !kept["file"] || !kept["other"] {
		t.Errorf("all seeds left %v", kept)
	}
}

func TestCutByRule(t *testing.T) {
	for _, done := range []bool{false, true} {
		d, _, file := one()
		d.CutAt(Rule{N: 2, Done: done})
		if err := d.do("write", func() syscall.Errno { file.write(0, []byte("y")); return 0 }); err != 0 {
			t.Fatal(err)
		}
		go func() {
			<-d.Gone()
			d.Release()
		}()
		if err := d.do("fsync", func() syscall.Errno { d.sync(file); return 0 }); !errors.Is(err, syscall.EIO) {
			t.Errorf("the call at the cut: %v", err)
		}
		if synced := file.durable != nil; synced != done {
			t.Errorf("cut after the step is %v, and it was synced is %v", done, synced)
		}
		if err := d.do("", func() syscall.Errno { t.Error("a call after the cut was done"); return 0 }); !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
	}
}
