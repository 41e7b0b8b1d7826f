package dispatcher

import "time"

// Reload has everything go by other settings from now on; what is in flight
// ends by the old ones. A held lane whose credentials are others now is probed
// at once. A lane whose quota group is gone, or has no credential any more,
// gives its jobs back where the provider has another, and else is held.
func (d *Dispatcher) Reload(s Settings) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settings.Store(&s)
	clear(d.skipped)
	for _, r := range d.runners {
		if _, ok := s.Providers.Group(r.key); !ok && len(s.Providers.Groups(r.key.Provider)) > 0 {
			r.retiring = true
			d.log.Warn("a lane's quota group is not configured any more; its jobs leave it", "lane", r.key.String())
			r.later(func(time.Time) { r.lane.stopping = true })
			continue
		}
		r.later(r.reload)
	}
	signal(d.freed)
}

// later posts an event without waiting for the lane.
func (r *laneRunner) later(e event) { go r.post(e) }
