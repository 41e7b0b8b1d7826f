package job

import "fmt"

// Status is where a job stands. Its text is the word that every face shows.
type Status string

// The seven states. COMPLETED, FAILED and CANCELLED are final.
const (
	AwaitingUpload Status = "AWAITING_UPLOAD"
	Queued         Status = "QUEUED"
	Pending        Status = "PENDING"
	Processing     Status = "PROCESSING"
	Completed      Status = "COMPLETED"
	Failed         Status = "FAILED"
	Cancelled      Status = "CANCELLED"
)

// Statuses lists all states in the order in which a job passes through them.
func Statuses() []Status {
	return []Status{AwaitingUpload, Pending, Queued, Processing, Completed, Failed, Cancelled}
}

var moves = map[Status][]Status{
	AwaitingUpload: {Queued, Pending, Failed, Cancelled},
	Pending:        {Queued, Cancelled, Failed},
	Queued:         {Processing, Cancelled, Failed},
	Processing:     {Completed, Failed, Cancelled},
}

// ParseStatus reads a status word as Status.String prints it.
func ParseStatus(s string) (Status, error) {
	for _, st := range Statuses() {
		if string(st) == s {
			return st, nil
		}
	}
	return "", fmt.Errorf("%q is no job status", s)
}

// String returns the word, for instance PROCESSING.
func (s Status) String() string { return string(s) }

// Final tells whether no move leaves s.
func (s Status) Final() bool { return s == Completed || s == Failed || s == Cancelled }

// Active tells whether a job in s takes its client's turn: at most
// max-active-jobs-per-client jobs of a client are active at once. A final job
// that is not settled takes it too, which only the Job can tell.
func (s Status) Active() bool { return s == Queued || s == Processing }

// CanMove tells whether a job may go from s to the given state.
func (s Status) CanMove(to Status) bool {
	for _, m := range moves[s] {
		if m == to {
			return true
		}
	}
	return false
}
