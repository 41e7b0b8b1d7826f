package bolt

import (
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// migrations are the steps from one schema to the next: the n-th leads from
// n+1 to n+2. Each is one transaction with the new number in it, so a crash
// leaves a store of either schema, and the next Open goes on.
var migrations = []func(*bbolt.Tx) error{indexSettled, owedByHost}

// migrate brings a store to the schema of this build. at is called at the
// points of each step where tests let it fail: before it, in the middle, when
// everything is written, and after it.
func migrate(path string, db *bbolt.DB, at func(point string) error) error {
	for {
		var version int
		if err := db.View(func(tx *bbolt.Tx) (err error) {
			version, err = schemaOf(path, tx)
			return err
		}); err != nil {
			return err
		}
		if version >= schema {
			return nil
		}
		if err := at("migrate.before"); err != nil {
			return err
		}
		if err := db.Update(func(tx *bbolt.Tx) error { return step(tx, version, at) }); err != nil {
			return fmt.Errorf("the store %s cannot be brought from schema %d to %d, and was left as it was: %w", path, version, version+1, err)
		}
		if err := at("migrate.after"); err != nil {
			return err
		}
	}
}

func step(tx *bbolt.Tx, version int, at func(point string) error) error {
	if err := migrations[version-1](tx); err != nil {
		return err
	}
	if err := at("migrate.middle"); err != nil {
		return err
	}
	if err := tx.Bucket(bucketMeta).Put(schemaKey, strconv.AppendInt(nil, int64(version)+1, 10)); err != nil {
		return err
	}
	return at("migrate.written")
}

// indexSettled leads to schema 2. The first stores knew no deletion and no
// quotas: they have no index of settled jobs, and do not count what a client
// has.
func indexSettled(tx *bbolt.Tx) error {
	for _, name := range laterBuckets() {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	var ids []job.ID
	if err := tx.Bucket(bucketJobs).ForEach(func(id, _ []byte) error {
		ids = append(ids, job.ID(id))
		return nil
	}); err != nil {
		return err
	}
	t := &tx2{Tx: tx, usage: map[string]usageRecord{}}
	for _, id := range ids {
		if err := t.index(id); err != nil {
			return fmt.Errorf("job %s: %w", id, err)
		}
	}
	return t.count()
}

// tx2 is the step to schema 2 under way.
type tx2 struct {
	*bbolt.Tx
	usage map[string]usageRecord // by client
}

// index puts a job where it stands, and counts it.
func (t *tx2) index(id job.ID) error {
	r, err := read(t.Tx, id)
	if err != nil {
		return err
	}
	parts, err := decodeParts(copyParts(t.Tx, id))
	if err != nil {
		return err
	}
	r.partBytes = 0
	for _, p := range parts {
		r.partBytes += p.Bytes
	}
	encoded, err := encodeRecord(r)
	if err != nil {
		return err
	}
	if err := t.Bucket(bucketJobs).Put([]byte(id), encoded); err != nil {
		return err
	}
	for _, e := range r.entries() {
		if err := t.Bucket([]byte(e.bucket)).Put([]byte(e.key), []byte(id)); err != nil {
			return err
		}
	}
	u, all := r.usage(), t.usage[r.job.Client]
	t.usage[r.job.Client] = usageRecord{Jobs: all.Jobs + u.Jobs, Open: all.Open + u.Open, Bytes: all.Bytes + u.Bytes}
	return nil
}

// count keeps what each client has.
func (t *tx2) count() error {
	b := t.Bucket(bucketClients)
	x := &tx{Tx: t.Tx}
	for client, usage := range t.usage {
		k := key{}.text(client)
		var c clientRecord
		if _, err := getJSON(b, k, &c); err != nil {
			return err
		}
		c.Usage = usage
		if err := x.putJSON(b, k, &c); err != nil {
			return err
		}
	}
	return nil
}

// owedByHost leads to schema 3. In the second one what owed its webhook stood by
// the time alone.
func owedByHost(tx *bbolt.Tx) error {
	var ids []job.ID
	if err := tx.Bucket(bucketOwed).ForEach(func(_, id []byte) error {
		ids = append(ids, job.ID(id))
		return nil
	}); err != nil {
		return err
	}
	if err := tx.DeleteBucket(bucketOwed); err != nil {
		return err
	}
	b, err := tx.CreateBucket(bucketOwed)
	if err != nil {
		return err
	}
	for _, id := range ids {
		r, err := read(tx, id)
		if storage.Damaged(err) {
			continue // the others still get theirs
		}
		if err != nil {
			return err
		}
		for _, e := range r.entries() {
			if e.bucket != string(bucketOwed) {
				continue
			}
			if err := b.Put([]byte(e.key), []byte(id)); err != nil {
				return err
			}
		}
	}
	return nil
}
