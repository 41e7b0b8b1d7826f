package dispatcher

import (
	"errors"

	"github.com/promptforge/promptforge/storage"
)

// reasonDamaged is why a job failed whose answers the store cannot read any
// more.
const reasonDamaged = "What the store keeps of this job is damaged; what can still be read stays, and the rest must be submitted again."

// nameDamaged tells, once, of the jobs that nothing can be done for.
func (d *Dispatcher) nameDamaged(err error) {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, one := range joined.Unwrap() {
			d.nameDamaged(one)
		}
		return
	}
	var damaged *storage.DamagedJobError
	if errors.As(err, &damaged) && !d.skipped[damaged.ID] {
		d.skipped[damaged.ID] = true
		d.log.Error("a job cannot be taken up", "job", damaged.ID, "error", err)
	}
}
