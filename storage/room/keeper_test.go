package room_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promptforge/promptforge/storage/room"
)

const mib = 1 << 20

// disk is one of which a test says how much is free.
type disk struct {
	*room.Keeper
	t    *testing.T
	dir  string
	free atomic.Int64
	tick chan time.Time
}

func keep(t *testing.T, reserve, free int64) *disk {
	t.Helper()
	d := &disk{t: t, dir: t.TempDir(), tick: make(chan time.Time)}
	d.free.Store(free)
	var err error
	d.Keeper, err = room.New(room.Config{
		Dir: d.dir, Reserve: reserve, Tick: d.tick,
		Free: func(dir string) (int64, error) {
			if dir != d.dir {
				t.Errorf("asked for %s", dir)
			}
			return d.free.Load(), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if d.size() != -1 {
			t.Error("the reserve's file is left")
		}
	})
	return d
}

// becomes changes what is free and waits until it was looked at.
func (d *disk) becomes(free int64) {
	d.free.Store(free)
	d.tick <- time.Time{}
	d.tick <- time.Time{} // the one before was dealt with
}

// want checks what the keeper says, and the size of the reserve's file, -1 for
// none.
func (d *disk) want(short, spent bool, size int64) {
	d.t.Helper()
	sentence, since := d.Short()
	if (sentence != "") != short || since.IsZero() == short || d.Spent() != spent || d.size() != size {
		d.t.Errorf("with %d MiB free it says %q since %s, spent %t, and the file has %d bytes", d.free.Load()/mib, sentence, since, d.Spent(), d.size())
	}
}

func (d *disk) size() int64 {
	info, err := os.Stat(filepath.Join(d.dir, room.FileName))
	if errors.Is(err, os.ErrNotExist) {
		return -1
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return info.Size()
}

func TestKeeper(t *testing.T) {
	t.Parallel()
	d := keep(t, 16*mib, 100*mib)
	changed, stop := d.Watch()
	defer stop()
	d.want(false, false, mib)
	d.becomes(16*mib - 1)
	<-changed
	d.want(true, false, mib)
	d.becomes(16 * mib)
	d.want(true, false, mib) // it does not flap at the edge
	d.becomes(17 * mib)
	<-changed
	d.want(false, false, mib)
	if !d.Full() {
		t.Error("nothing was given up")
	}
	<-changed
	d.want(true, true, -1)
	if d.Full() {
		t.Error("it was given up twice")
	}
	d.becomes(18*mib - 1)
	d.want(true, true, -1) // the reserve has no room yet
	d.becomes(18 * mib)
	d.want(false, false, mib)
}

// TestKeeperBeginsShort: a full disk keeps nobody from starting.
func TestKeeperBeginsShort(t *testing.T) {
	t.Parallel()
	d := keep(t, 16*mib, 0)
	d.want(true, false, -1)
	d.becomes(17 * mib)
	d.want(true, false, -1)
	d.becomes(18 * mib)
	d.want(false, false, mib)
}

// TestKeeperBetween: where the reserve's file would itself make it short, it
// waits.
func TestKeeperBetween(t *testing.T) {
	t.Parallel()
	d := keep(t, 16*mib, 16*mib+1)
	d.want(false, false, -1)
	d.becomes(17 * mib)
	d.want(false, false, mib)
}

// TestKeeperWithout: 0 is no reserve; then only a full disk holds.
func TestKeeperWithout(t *testing.T) {
	t.Parallel()
	d := keep(t, 0, 0)
	d.want(false, false, -1)
	if d.Full() {
		t.Error("there was something to give up")
	}
	d.want(true, true, -1)
	d.becomes(1)
	d.want(false, false, -1)
}

// TestKeeperRepairsTheFile: one that a crash cut short is made anew.
func TestKeeperRepairsTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, room.FileName)
	if err := os.WriteFile(path, []byte("cut"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := room.New(room.Config{Dir: dir, Reserve: 16 * mib, Free: func(string) (int64, error) { return 1 << 40, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != mib {
		t.Errorf("%v, %v", info, err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

func TestKeeperCannotWrite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "gone")
	_, err := room.New(room.Config{Dir: dir, Reserve: 16 * mib, Free: func(string) (int64, error) { return 1 << 40, nil }})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
}

// TestKeeperBlind: where the room cannot be told nothing is held.
func TestKeeperBlind(t *testing.T) {
	t.Parallel()
	k, err := room.New(room.Config{Dir: t.TempDir(), Reserve: 16 * mib, Free: func(string) (int64, error) { return 0, errors.New("odd") }})
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := k.Short(); s != "" {
		t.Error(s)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	if n, err := room.Free(t.TempDir()); err == nil && n <= 0 {
		t.Errorf("%d bytes are free", n)
	}
	if _, err := room.Free(filepath.Join(t.TempDir(), "gone")); err == nil {
		t.Error("a folder that is not there has room")
	}
}
