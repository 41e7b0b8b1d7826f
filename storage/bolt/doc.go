// Package bolt keeps the service's memory in one bbolt file: storage.Store for
// one machine, the default.
//
// Every write is one bbolt transaction, which returns after its fsync. Reads
// copy what they return and end; none is open while anything outside this
// package runs, since an open reader keeps bbolt from reusing a single page.
//
// What lies where:
//
//	meta          "schema" → the version of this layout
//	jobs          id → jobRecord (JSON)
//	list          client, Seq → id
//	awaiting      UploadExpiresAt, id → id          AWAITING_UPLOAD
//	pending       client, QueueSeq → id             PENDING
//	turns         client, upload order → id         whatever takes its client's turn
//	work          upload order → id                 the same, over all clients
//	settled       SettledAt, id → id                what is settled and not deleted
//	owed          webhook's host, Due, id → id      what owes its webhook
//	doomed        id → id                           what is settled and deleted
//	clients       client → counters, webhook secrets (JSON)
//	done, failed  id → bitmap of the sealed lines (roaring)
//	unusable      id → bitmap of the lines that no prompt came of
//	parts         id, FirstOffset → partRecord (JSON)
//	outcomes      id, segment → a bucket: offset → job.Outcome (its own encoding)
//	files         name → how many jobs refer to it
//	idempotency   client, key → idempotencyRecord (JSON)
//	expiring      expiry, client, key → nothing
//	lanes         job.Lane.Key → laneRecord (JSON)
//	keys          id → keyRecord (JSON)
//	clientkeys    client, id → nothing
//	secrets       name → 32 bytes
//	quotas        client → quotaRecord (JSON)
//
// A client that has neither a key nor a job left has no counters either.
//
// Numbers in keys are big-endian, clients and hosts are preceded by their length. The
// JSON records are types of this package with names of their own, so that a
// field renamed in package job changes no file: a new field is read as zero
// from an old record, one that is gone is passed over, and anything else takes
// a new schema version, a step in migrate.go, and a test of that.
package bolt
