package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// OpenReadOnly opens a store that is to be looked at and not changed, by
// nobody: it keeps others from opening it for writing. Its errors are those of
// Open, and one for a store of an earlier schema.
func OpenReadOnly(path string) (*Store, error) {
	if err := inspect(path); err != nil {
		return nil, err
	}
	db, err := openFile(path, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	err = guard(path, func() error {
		return db.View(func(tx *bbolt.Tx) error {
			version, err := schemaOf(path, tx)
			if err == nil && version < schema {
				err = fmt.Errorf("%s is of an earlier version of promptforge (its schema is %d, this one has %d): start the server on it once, which brings it up", path, version, schema)
			}
			return err
		})
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s, err := newStore(path, Options{}, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// Contents hands out all that is kept of each job, the jobs that cannot be read
// left out.
func (s *Store) Contents(ctx context.Context, each func(*storage.Kept) error) error {
	return s.eachJob(ctx, func(tx *bbolt.Tx, id job.ID) (*storage.Kept, error) {
		k, _, err := readKept(tx, id)
		return k, err
	}, each)
}

// eachJob reads job after job, each in a transaction of its own, and hands out
// what was read outside of it. What is damaged is passed over.
func (s *Store) eachJob(ctx context.Context, read func(*bbolt.Tx, job.ID) (*storage.Kept, error), each func(*storage.Kept) error) error {
	var from []byte
	for {
		var k *storage.Kept
		var id []byte
		err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
			c := tx.Bucket(bucketJobs).Cursor()
			if id, _ = c.Seek(from); id == nil {
				return nil
			}
			id = append(append([]byte(nil), id...), 0) // where the next begins
			k, err = read(tx, job.ID(id[:len(id)-1]))
			if storage.Damaged(err) {
				err = nil
			}
			return err
		})
		if err != nil || id == nil {
			return err
		}
		from = id
		if k == nil {
			continue
		}
		if err := each(k); err != nil {
			return err
		}
	}
}

// readKept reads all of a job. *DamagedJobError.
func readKept(tx *bbolt.Tx, id job.ID) (*storage.Kept, *record, error) {
	r, err := read(tx, id)
	if err != nil {
		return nil, nil, err
	}
	k := &storage.Kept{Job: r.copy(), Segments: r.segments}
	if k.Parts, err = decodeParts(copyParts(tx, id)); err != nil {
		return nil, nil, &storage.DamagedJobError{ID: id, What: "the list of parts", Cause: err}
	}
	k.Done, k.Failed, err = sealed(tx, id)
	if err == nil {
		k.Unusable, err = readBitmap(tx.Bucket(bucketUnusable), id)
	}
	if err != nil {
		return nil, nil, &storage.DamagedJobError{ID: id, What: "the list of sealed lines", Cause: err}
	}
	return k, r, nil
}

// Snapshot writes the store as it is at this moment into a new file, synced,
// and returns the names of all files that it refers to. Others go on writing
// meanwhile; what they free is not used again before it ends.
func (s *Store) Snapshot(ctx context.Context, path string) (names []string, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		if _, err := tx.WriteTo(f); err != nil {
			return err
		}
		return tx.Bucket(bucketFiles).ForEach(func(name, _ []byte) error {
			names = append(names, string(name))
			return nil
		})
	})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return names, nil
}
