// Package room looks after the disk's room: it tells when too little is left,
// and keeps a reserve of it for answers that were paid for
// (docs/decisions/0020).
package room

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/promptforge/promptforge/storage"
)

// DefaultReserve is how much stays free on the disk.
const DefaultReserve = 512 << 20

const (
	every = time.Second
	// The reserve's file is a part of the reserve, and at most this large: more
	// than one commit of answers takes.
	fileShare = 16
	maxFile   = 32 << 20
	// Room that comes and goes at the edge must not make lanes flap: it ends
	// only when so much of the reserve more is free.
	marginShare = 16
)

// Config is what a Keeper goes by.
type Config struct {
	Dir     string       // the folder whose disk it is, and of the reserve's file
	Reserve int64        // bytes that are to stay free
	Log     *slog.Logger // nil: none

	// Free tells how many bytes are free for this user on a folder's disk; nil:
	// the function Free.
	Free func(dir string) (int64, error)
	// Tick is when to look again; nil: once a second.
	Tick <-chan time.Time
}

// Keeper is storage.Room of one folder's disk.
type Keeper struct {
	cfg  Config
	file reserveFile

	mu      sync.Mutex
	short   string
	since   time.Time
	spent   bool
	blind   bool // it was told that the room cannot be told
	watches map[chan struct{}]struct{}
}

var _ storage.Room = (*Keeper)(nil)

// New takes a first look and lays the reserve's file out, if there is room for
// it. A disk that is short is no error; a folder that cannot be written is.
func New(cfg Config) (*Keeper, error) {
	if cfg.Free == nil {
		cfg.Free = Free
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{cfg: cfg, file: newReserveFile(cfg.Dir, min(maxFile, cfg.Reserve/fileShare)), watches: map[chan struct{}]struct{}{}}
	return k, k.look()
}

// Run looks again and again until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := k.cfg.Tick
	if tick == nil {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			if err := k.look(); err != nil {
				k.cfg.Log.Error("the disk's reserve cannot be kept; it is tried again", "error", err)
			}
		}
	}
}

// look compares the room with the reserve.
func (k *Keeper) look() error {
	free, err := k.cfg.Free(k.cfg.Dir)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		if !k.blind {
			k.blind = true
			k.cfg.Log.Warn("the disk's free room cannot be told; lanes are held only when it is full", "error", err)
		}
		free = 1 << 62
	}
	wanted := k.cfg.Reserve
	if k.short != "" {
		wanted += k.cfg.Reserve / marginShare
	}
	there := k.file.there()
	if !there {
		wanted += k.file.size
	}
	if free < wanted && (there || free < k.cfg.Reserve || k.short != "") {
		k.say(sentence, free)
		return nil
	}
	if !there && free >= wanted {
		if err := k.file.make(); storage.DiskFull(err) {
			k.say(sentence, free)
			return nil
		} else if err != nil {
			return fmt.Errorf("the reserve %s cannot be made: %w", k.file.path, err)
		}
	}
	k.spent = k.spent && !k.file.there()
	k.say("", free)
	return nil
}

// sentence is for everyone; the log has the figures.
const sentence = "The server's disk is nearly full; sending and uploads go on by themselves when there is room."

// say keeps what Short says.
func (k *Keeper) say(sentence string, free int64) {
	switch {
	case sentence == k.short && sentence != "":
		return
	case sentence == "" && k.short == "":
		return
	case sentence == "":
		k.cfg.Log.Info("there is room on the disk again", "held", time.Since(k.since).Round(time.Second))
		k.since = time.Time{}
	case k.short == "":
		k.since = time.Now()
		k.cfg.Log.Error("the disk is nearly full: nothing is sent and no upload taken until there is room", "folder", k.cfg.Dir,
			"free_mib", free>>20, "disk_reserve_mib", k.cfg.Reserve>>20)
	}
	k.short = sentence
	k.signal()
}

func (k *Keeper) signal() {
	for c := range k.watches {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Close takes the reserve's file away.
func (k *Keeper) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, err := k.file.remove()
	return err
}

// Short says that there is too little room, and since when.
func (k *Keeper) Short() (string, time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.short, k.since
}

// Spent tells whether the reserve was given up.
func (k *Keeper) Spent() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spent
}

// Full gives up the reserve's file.
func (k *Keeper) Full() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	gone, err := k.file.remove()
	if err != nil {
		k.cfg.Log.Error("the disk's reserve cannot be given up", "error", err)
	}
	if gone {
		k.cfg.Log.Warn("the disk is full; what was answered is recorded out of the reserve", "reserve", k.file.path)
	}
	k.spent = true
	k.say(sentence, 0)
	return gone
}

// Watch signals changes.
func (k *Keeper) Watch() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watches[c] = struct{}{}
	return c, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.watches, c)
	}
}
