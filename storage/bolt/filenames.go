package bolt

import (
	"bytes"
	"context"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// refer counts one more job that needs a file. Files are counted by name, not
// found by walking jobs: a walk in several transactions could miss a name that
// passes from a job ahead of it to one behind.
func (t *tx) refer(name string) error {
	b := t.bucket(bucketFiles)
	count := uint64(0)
	if v := b.Get([]byte(name)); len(v) == 8 {
		count = binary.BigEndian.Uint64(v)
	}
	return t.put(b, []byte(name), binary.BigEndian.AppendUint64(nil, count+1))
}

// namesPerView bounds how long FileNames holds a read transaction.
const namesPerView = 10_000

// FileNames lists every name that any job's upload or part refers to.
func (s *Store) FileNames(ctx context.Context) (map[string]bool, error) {
	names := map[string]bool{}
	var from []byte
	for done := false; !done; {
		err := s.view(ctx, func(tx *bbolt.Tx) error {
			c := tx.Bucket(bucketFiles).Cursor()
			k, _ := c.Seek(from)
			for n := 0; n < namesPerView && k != nil; n++ {
				names[string(k)] = true
				k, _ = c.Next()
			}
			from, done = bytes.Clone(k), k == nil
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}
