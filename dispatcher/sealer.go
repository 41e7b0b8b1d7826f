package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
)

const (
	sealAge   = 60 * time.Second // an outcome is in a part at the latest then
	sealLook  = 5 * time.Second
	maxOpen   = 256 << 20 // unsealed bytes over all jobs
	readBytes = 1 << 20
	// keepWritten is for how long a part may wait to be listed before it is
	// written anew: much less than erase.OrphanAge, after which it may be gone.
	keepWritten = 24 * time.Hour
)

// sealer turns segments into parts: a segment that is full, one that is old,
// and the largest where too much is unsealed.
type sealer struct {
	store storage.Store
	files storage.Files
	room  storage.Room
	log   *slog.Logger

	mu     sync.Mutex
	jobs   map[job.ID]*unsealed
	wake   chan struct{}
	closed chan struct{}
	once   sync.Once
}

// unsealed is what is known about a job's segments.
type unsealed struct {
	term    job.Term
	sealing sync.Mutex // one segment of a job is sealed at a time
	open    storage.Segment
	since   time.Time // of the open segment's first outcome
	frozen  bool      // one or more wait to be sealed
	retryAt time.Time // after a failure
	damaged bool      // it never can be
	// written is a part whose list is not known to have it: the segment number
	// and the part, so that a repeated try writes no second file.
	writtenN  int64
	written   storage.NewPart
	writtenAt time.Time
}

func newSealer(store storage.Store, fs storage.Files, room storage.Room, log *slog.Logger) *sealer {
	return &sealer{
		store: store, files: fs, room: room, log: log, jobs: map[job.ID]*unsealed{},
		wake: make(chan struct{}, 1), closed: make(chan struct{}),
	}
}

// recorded hears of the segment that takes a job's outcomes now.
func (s *sealer) recorded(id job.ID, term job.Term, open storage.Segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.job(id, term)
	if open.N != u.open.N {
		if u.open.Outcomes > 0 {
			u.frozen = true
			signal(s.wake)
		}
		u.since = time.Now()
	}
	u.open = open
	if open.Frozen || open.Outcomes >= storage.MaxSegmentOutcomes || open.Bytes >= storage.MaxSegmentBytes {
		u.frozen = true
		signal(s.wake)
	}
}

// found hears of what an earlier holder left unsealed.
func (s *sealer) found(id job.ID, term job.Term, segments []storage.Segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.job(id, term)
	u.open, u.since = segments[len(segments)-1], time.Now()
	if len(segments) > 1 || u.open.Frozen {
		u.frozen = true
		signal(s.wake)
	}
}

func (s *sealer) job(id job.ID, term job.Term) *unsealed {
	u := s.jobs[id]
	if u == nil {
		u = &unsealed{term: term}
		s.jobs[id] = u
	}
	return u
}

func (s *sealer) forget(id job.ID) {
	s.mu.Lock()
	delete(s.jobs, id)
	s.mu.Unlock()
}

func (s *sealer) close() { s.once.Do(func() { close(s.closed) }) }

func (s *sealer) loop() {
	ticker := time.NewTicker(sealLook)
	defer ticker.Stop()
	for {
		select {
		case <-s.wake:
		case <-ticker.C:
		case <-s.closed:
			return
		}
		for id, u := range s.due(time.Now()) {
			err := s.some(context.Background(), id, u)
			if storage.Damaged(err) {
				s.log.Error("a job's answers are damaged; they stay as they are", "job", id, "error", err)
				s.mu.Lock()
				u.damaged = true
				s.mu.Unlock()
				continue
			}
			if err != nil {
				s.log.Error("a part could not be sealed; trying again", "job", id, "error", err)
				s.mu.Lock()
				u.retryAt, u.frozen = time.Now().Add(storeRetry), true
				s.mu.Unlock()
			}
		}
	}
}

// due picks the jobs of which something is to be sealed now.
func (s *sealer) due(now time.Time) map[job.ID]*unsealed {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[job.ID]*unsealed{}
	var total int64
	var largest job.ID
	for id, u := range s.jobs {
		total += u.open.Bytes
		if now.Before(u.retryAt) || u.damaged {
			continue
		}
		if largest == "" || u.open.Bytes > s.jobs[largest].open.Bytes {
			largest = id
		}
		if u.frozen || (u.open.Outcomes > 0 && now.Sub(u.since) >= sealAge) {
			out[id] = u
		}
	}
	if total > maxOpen && largest != "" {
		out[largest] = s.jobs[largest]
	}
	return out
}

// some seals a job's frozen segments, or its open one where none is frozen.
func (s *sealer) some(ctx context.Context, id job.ID, u *unsealed) error {
	s.mu.Lock()
	u.frozen = false
	s.mu.Unlock()
	for {
		sealed, err := s.one(ctx, id, u)
		if err != nil || !sealed {
			return err
		}
		segments, err := s.store.Segments(ctx, id)
		if err != nil {
			return err
		}
		if len(segments) == 0 || !segments[0].Frozen {
			return nil
		}
	}
}

// all seals everything of a job.
func (s *sealer) all(ctx context.Context, id job.ID, term job.Term) error {
	s.mu.Lock()
	u := s.job(id, term)
	s.mu.Unlock()
	for {
		sealed, err := s.one(ctx, id, u)
		if err != nil || !sealed {
			return err
		}
	}
}

// one seals the oldest segment of a job; false where none is left.
func (s *sealer) one(ctx context.Context, id job.ID, u *unsealed) (bool, error) {
	u.sealing.Lock()
	defer u.sealing.Unlock()
	if s.room.Spent() {
		// What the reserve freed is for answers alone; a part would take it.
		return false, errNoRoom
	}
	segment, err := s.store.Freeze(ctx, u.term, id)
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrTerm) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	if u.open.N <= segment.N {
		u.open = storage.Segment{N: segment.N}
	}
	s.mu.Unlock()
	if u.writtenN != segment.N || time.Since(u.writtenAt) > keepWritten {
		part, err := s.write(ctx, id, u.term, segment)
		if err != nil {
			return false, err
		}
		u.writtenN, u.written, u.writtenAt = segment.N, part, time.Now()
	}
	if err := failpoint.Hit("sealing"); err != nil {
		return false, err
	}
	part := u.written
	if err := s.store.Seal(ctx, u.term, id, segment.N, part); err != nil {
		// Whether the list has it is not known; a file that no list names is
		// removed later, one that is named must stay.
		return false, err
	}
	if err := failpoint.Hit("sealed"); err != nil {
		return false, err // an acknowledgement that got lost
	}
	u.writtenN, u.written = 0, storage.NewPart{}
	return true, nil
}

var errNoRoom = errors.New("the disk is full; parts wait until there is room")

// write copies a segment into a part.
func (s *sealer) write(ctx context.Context, id job.ID, term job.Term, segment storage.Segment) (storage.NewPart, error) {
	w, err := files.NewPartWriter(ctx, s.files, files.PartName(id, term, segment.N), segment.FirstOffset, segment.ResultsBefore)
	if err != nil {
		return storage.NewPart{}, err
	}
	defer w.Discard()
	for after := segment.FirstOffset - 1; after < segment.LastOffset(); {
		outcomes, err := s.store.ReadSegment(ctx, id, segment.N, after, readBytes)
		if err != nil {
			return storage.NewPart{}, err
		}
		if len(outcomes) == 0 {
			return storage.NewPart{}, fmt.Errorf("segment %d ends after offset %d, before %d", segment.N, after, segment.LastOffset())
		}
		for i := range outcomes {
			if err := w.Add(&outcomes[i]); err != nil {
				return storage.NewPart{}, err
			}
		}
		after += int64(len(outcomes))
	}
	return w.Commit()
}
