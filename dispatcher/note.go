package dispatcher

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// log tells what the lane has to tell: nothing that a provider said, since that
// may quote a prompt.
func (r *laneRunner) log(n *note) {
	attrs := []any{"lane", r.key.String()}
	if n.hasKey {
		attrs = append(attrs, "credential", r.group[n.key].KeyName)
	}
	if n.count > 0 {
		attrs = append(attrs, "prompts", n.count)
	}
	if h := n.hold; h != nil {
		attrs = append(attrs, "hold", h.kind.String(), "since", h.since.UTC().Format(time.RFC3339))
		if h.status != 0 {
			attrs = append(attrs, "status", h.status)
		}
		if h.kind == refusal && !n.good {
			attrs = append(attrs, "credential", strings.Join(r.group.KeyNames(), ", "))
		}
		if !h.until.IsZero() {
			attrs = append(attrs, "until", h.until.UTC().Format(time.RFC3339))
		}
	}
	level := slog.LevelWarn
	if n.good {
		level = slog.LevelInfo
	}
	r.d.log.Log(context.Background(), level, n.what, attrs...)
}

// note is something for the log. It holds nothing that a provider said.
type note struct {
	what   string
	hold   *hold
	key    int
	hasKey bool
	count  int  // prompts; 0: it is of none
	good   bool // nobody has to do anything
}
