package dispatcher

import "github.com/promptforge/promptforge/job"

// What a lane wants done.
type verb int

const (
	doSend    verb = iota // send it's prompt
	doCanary              // send the canary
	doReserve             // make it known that run sends more lines
	doRead                // read the next block of run
	doRecord              // record outcome of run
	doFail                // make run FAILED for reason
	doFinish              // everything of run is recorded: seal it and complete it
	doSettle              // a final run has nothing under way: seal and settle it
	doSave                // keep what is learned and counted, and answer with saved
	doLog                 // tell the log about note
)

// command is one thing that a lane wants done. Whoever does it answers with an
// event, but for doFail and doLog.
type command struct {
	verb    verb
	it      *item
	run     *run
	outcome *job.Outcome
	reason  string
	key     int // with doCanary: the credential
	note    note
}
