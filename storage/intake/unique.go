package intake

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// unique finds the lines whose prompt_id stood on an earlier line. It keeps
// 128 bits of a keyed hash instead of each id: nobody who does not know the
// key can make two ids that look like one, and by chance it takes some 10^19
// ids.
type unique struct {
	key    []byte // with room for an id
	hashes *sorter
	again  *sorter // a: the line, b: the first line with its id
}

const keyBytes = 32

// newUnique divides the memory: the repeated lines are collected while the
// hashes are still being merged.
func newUnique(ctx context.Context, fs storage.Files, memory int) *unique {
	key := make([]byte, keyBytes, 2*keyBytes+job.MaxPromptIDBytes)
	rand.Read(key)
	return &unique{
		key:    key,
		hashes: newSorter(ctx, fs, memory*2/3),
		again:  newSorter(ctx, fs, memory/3),
	}
}

func (u *unique) add(id job.PromptID, line int64) error {
	sum := sha256.Sum256(id.AppendKey(u.key[:keyBytes]))
	return u.hashes.add(entry{
		a:    binary.BigEndian.Uint64(sum[:]),
		b:    binary.BigEndian.Uint64(sum[8:]),
		line: uint32(line),
	})
}

// eachRepeated calls f, in order of line, with every line whose id is that of
// an earlier line, and with the first line that has it.
func (u *unique) eachRepeated(f func(line, first int64) error) error {
	var first entry // no entry has line 0
	err := u.hashes.each(func(e entry) error {
		if first.line == 0 || e.a != first.a || e.b != first.b {
			first = e
			return nil
		}
		return u.again.add(entry{a: uint64(e.line), b: uint64(first.line)})
	})
	if err != nil {
		return err
	}
	return u.again.each(func(e entry) error { return f(int64(e.a), int64(e.b)) })
}

func (u *unique) close() {
	u.hashes.close()
	u.again.close()
}
