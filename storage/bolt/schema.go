package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"go.etcd.io/bbolt"
)

// schema is the version of the layout that doc.go describes; migrate.go knows
// the way from every earlier one.
const schema = 3

var schemaKey = []byte("schema")

var (
	bucketMeta        = []byte("meta")
	bucketJobs        = []byte("jobs")
	bucketList        = []byte("list")
	bucketAwaiting    = []byte("awaiting")
	bucketPending     = []byte("pending")
	bucketTurns       = []byte("turns")
	bucketWork        = []byte("work")
	bucketSettled     = []byte("settled")
	bucketDoomed      = []byte("doomed")
	bucketClients     = []byte("clients")
	bucketDone        = []byte("done")
	bucketFailed      = []byte("failed")
	bucketUnusable    = []byte("unusable")
	bucketParts       = []byte("parts")
	bucketOutcomes    = []byte("outcomes")
	bucketFiles       = []byte("files")
	bucketIdempotency = []byte("idempotency")
	bucketExpiring    = []byte("expiring")
	bucketLanes       = []byte("lanes")
	bucketKeys        = []byte("keys")
	bucketClientKeys  = []byte("clientkeys")
	bucketSecrets     = []byte("secrets")
	bucketQuotas      = []byte("quotas")
	bucketOwed        = []byte("owed")
)

func buckets() [][]byte {
	return [][]byte{
		bucketMeta, bucketJobs, bucketList, bucketAwaiting, bucketPending, bucketTurns, bucketWork, bucketSettled, bucketDoomed, bucketClients,
		bucketDone, bucketFailed, bucketUnusable, bucketParts, bucketOutcomes, bucketFiles, bucketIdempotency, bucketExpiring,
		bucketLanes, bucketKeys, bucketClientKeys, bucketSecrets, bucketQuotas, bucketOwed,
	}
}

// laterBuckets are those that came after schema 1.
func laterBuckets() [][]byte {
	return [][]byte{bucketSettled, bucketDoomed, bucketUnusable, bucketQuotas, bucketOwed}
}

// initialise lays the buckets into a new file.
func initialise(tx *bbolt.Tx) error {
	for _, name := range buckets() {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(schemaKey, strconv.AppendInt(nil, schema, 10))
}

// checkSchema tells whether this build can work with the file.
func checkSchema(path string, tx *bbolt.Tx) error {
	version, err := schemaOf(path, tx)
	if err != nil {
		return err
	}
	if version > schema {
		return &NewerError{Path: path, Schema: version, KnownSchema: schema}
	}
	for _, name := range buckets() {
		later := version < schema && slices.ContainsFunc(laterBuckets(), func(b []byte) bool { return bytes.Equal(b, name) })
		if !later && tx.Bucket(name) == nil {
			return &DamagedError{path, fmt.Errorf("it has no bucket %q", name)}
		}
	}
	return nil
}

func schemaOf(path string, tx *bbolt.Tx) (int, error) {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return 0, &DamagedError{path, errors.New("a bbolt database of something else")}
	}
	version, err := strconv.Atoi(string(meta.Get(schemaKey)))
	if err != nil || version < 1 {
		return 0, &DamagedError{path, errors.New("it names no schema")}
	}
	return version, nil
}
