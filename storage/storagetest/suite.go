// Package storagetest is one suite of tests that every storage.Store must
// pass. Each behaviour is tried twice: on a store that stays open, and on one
// that is closed and opened again before every single call.
package storagetest

import (
	"testing"

	"github.com/promptforge/promptforge/storage"
)

// Options say which store a test wants.
type Options struct {
	// Place is a folder of the test's own. Opening the same place again after
	// Close finds what was kept there.
	Place string
	// MaxActivePerClient is how many jobs of a client may take a turn, 1 or more.
	MaxActivePerClient int
}

// Open opens a store, and fails the test if it can't.
type Open func(t testing.TB, opts Options) storage.Store

// Run puts the stores that open makes through the suite.
func Run(t *testing.T, open Open) {
	for _, b := range behaviours() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			t.Run("open", func(t *testing.T) { b.test(newEnv(t, open, false)) })
			if !b.live {
				t.Run("reopened", func(t *testing.T) { b.test(newEnv(t, open, true)) })
			}
		})
	}
	t.Run("Model", func(t *testing.T) { t.Parallel(); model(t, open) })
}

type behaviour struct {
	name string
	test func(e *env)
	live bool // it makes no sense on a store that is opened again and again
}

func behaviours() []behaviour {
	return []behaviour{
		{name: "Keys", test: keys},
		{name: "KeysNotFound", test: keysNotFound},
		{name: "Secret", test: secret},
		{name: "Ping", test: ping},
		{name: "Closed", test: closed, live: true},
		{name: "Context", test: cancelledContext},

		{name: "CreateJob", test: createJob},
		{name: "JobOfAnother", test: jobOfAnother},
		{name: "ListJobs", test: listJobs},
		{name: "ListManyJobs", test: listManyJobs, live: true},
		{name: "CopiesComeOut", test: copiesComeOut},
		{name: "Idempotency", test: idempotency},
		{name: "IdempotencyExpires", test: idempotencyExpires},
		{name: "IdempotencySixteen", test: idempotencySixteen, live: true},

		{name: "ExtendUpload", test: extendUpload},
		{name: "CompleteUpload", test: completeUpload},
		{name: "UploadUnusable", test: uploadUnusable},
		{name: "UploadWithoutUsableLine", test: uploadWithoutUsableLine},
		{name: "UploadThatDoesNotAddUp", test: uploadThatDoesNotAddUp},
		{name: "ExpireUploads", test: expireUploads},

		{name: "PendingOrder", test: pendingOrder},
		{name: "TwoTurns", test: twoTurns},
		{name: "PromoteFindsNothing", test: promoteFindsNothing},
		{name: "WorkOrder", test: workOrder},

		{name: "Moves", test: moves},
		{name: "CancelUnclaimed", test: cancelUnclaimed},
		{name: "CancelClaimed", test: cancelClaimed},
		{name: "FinishCompleted", test: finishCompleted},
		{name: "FinishFailed", test: finishFailed},
		{name: "FinishAfterCancel", test: finishAfterCancel},

		{name: "Lanes", test: lanes},
		{name: "Terms", test: terms},
		{name: "Claim", test: claim},
		{name: "ClaimAgain", test: claimAgain},
		{name: "Release", test: release},

		{name: "Record", test: record},
		{name: "RecordTwice", test: recordTwice},
		{name: "RecordAgain", test: recordAgain},
		{name: "RecordLate", test: recordLate},
		{name: "RecordBeforeUpload", test: recordBeforeUpload},
		{name: "RecordManyJobs", test: recordManyJobs},
		{name: "RecordNeverBeyondTheFile", test: recordNeverBeyondTheFile},
		{name: "RecordUnreadable", test: recordUnreadable},
		{name: "RecordConcurrently", test: recordConcurrently, live: true},

		{name: "ReadSegment", test: readSegment},
		{name: "FreezeAndSeal", test: freezeAndSeal},
		{name: "SealRefuses", test: sealRefuses},
		{name: "SegmentFillsUp", test: segmentFillsUp, live: true},
		{name: "SegmentFillsUpByBytes", test: segmentFillsUpByBytes, live: true},
		{name: "SplitAtTheEdge", test: splitAtTheEdge, live: true},
		{name: "FileNames", test: fileNames},

		{name: "Continue", test: continueJob},
		{name: "ContinueUnsealed", test: continueUnsealed},
		{name: "ContinueTwice", test: continueTwice},
		{name: "ContinueRefused", test: continueRefused},

		{name: "Delete", test: deleteJob},
		{name: "DeleteInEveryState", test: deleteEveryState},
		{name: "DeleteForgetsIdempotency", test: deleteForgetsIdempotency},
		{name: "DeleteShared", test: deleteShared},
		{name: "ExpireJobs", test: expireJobs},
		{name: "Usage", test: usage},
		{name: "ForgetClient", test: forgetClient},
		{name: "JobIsAsCommitted", test: jobIsAsCommitted, live: true},
		{name: "Quotas", test: quotas},
		{name: "Repeated", test: repeated},
		{name: "Deliveries", test: deliveries},
		{name: "DeliveriesByHost", test: deliveriesByHost},
		{name: "WebhookSecrets", test: webhookSecrets},

		{name: "WatchJob", test: watchJob, live: true},
		{name: "WatchAll", test: watchAll, live: true},
		{name: "WatchStop", test: watchStop, live: true},
		{name: "Everything", test: everything, live: true},
	}
}
