package intake

import (
	"context"
	"fmt"
	"testing"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
)

func TestMillionIDs(t *testing.T) {
	const n, memory = 1_200_000, 1 << 20
	fs, err := files.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	u := newUnique(context.Background(), fs, memory)
	defer u.close()
	// first is the line on which the id of a line stands first: every 97th
	// line repeats a far one, every 101st the one before.
	first := func(line int64) int64 {
		for {
			switch {
			case line > 1 && line%101 == 0:
				line--
			case line > 1 && line%97 == 0:
				line = line/2 + 1
			default:
				return line
			}
		}
	}
	for line := int64(1); line <= n; line++ {
		if err := u.add(job.IntID(first(line)), line); err != nil {
			t.Fatal(err)
		}
		if cap(u.hashes.held)*entryMemory > memory*2/3 {
			t.Fatalf("%d bytes of memory", cap(u.hashes.held)*entryMemory)
		}
	}
	if len(u.hashes.runs) < 50 {
		t.Errorf("%d runs only", len(u.hashes.runs))
	}
	next := int64(1)
	err = u.eachRepeated(func(line, stands int64) error {
		for ; next < line; next++ {
			if first(next) != next {
				return fmt.Errorf("line %d was not found", next)
			}
		}
		if want := first(line); want != stands || want == line {
			return fmt.Errorf("line %d repeats line %d, not %d", line, want, stands)
		}
		next++
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for ; next <= n; next++ {
		if first(next) != next {
			t.Errorf("line %d was not found", next)
		}
	}
}

// Two uploads don't share a key: a file of ids that collide can't be made.
func TestHashesAreKeyed(t *testing.T) {
	var seen []entry
	for range 2 {
		u := newUnique(context.Background(), storage.Files(nil), 1<<20)
		if err := u.add(job.IntID(1), 1); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, u.hashes.held[0])
	}
	if seen[0] == seen[1] {
		t.Error("one id has the same hash in two uploads")
	}
}
