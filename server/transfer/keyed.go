package transfer

import (
	"context"
	"time"

	"github.com/promptforge/promptforge/server/problem"
)

// keyInterval is how often a transfer that runs asks whether its client still
// has a key.
const keyInterval = time.Second

func keyless() error {
	return problem.New(problem.Forbidden, "This URL's client has no API key any more, and its URLs ended with the last one.")
}

// keyed returns what a transfer calls before each piece, to end with its
// client's last key. A store that cannot answer is asked again: it has refused
// nothing.
func (h *Handler) keyed(ctx context.Context, client string) func() error {
	asked := h.Now()
	return func() error {
		now := h.Now()
		if now.Sub(asked) < keyInterval {
			return nil
		}
		asked = now
		if has, err := h.Store.HasKey(ctx, client); err == nil && !has {
			return keyless()
		}
		return nil
	}
}
