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

// reload goes by the newest settings and, where they are others, credentials.
func (r *laneRunner) reload(now time.Time) {
	set := r.d.settings.Load()
	if r.lane.stopping {
		return // a newer Reload ended the lane
	}
	g := set.Providers.Lane(r.key)
	r.execute() // what is to be done still means the credentials of before
	renewed := !g.SameKeys(r.group)
	r.group = g
	r.lane.cfg = r.config(set)
	r.lane.ctl.SetCaps(now, r.lane.cfg.Rate)
	if renewed {
		r.lane.renewKeys(now, len(g))
		if g.Missing() == "" {
			r.d.log.Info("a lane goes on with other credentials", "lane", r.key.String(), "credentials", len(g))
		}
	}
	r.want(now)
	if h := r.lane.hold; h != nil && h.kind == dayCap {
		r.lane.unhold(now, "a lane's cap of a day may be another") // and is begun again where it is not
	}
	old := r.clients[0]
	r.connect(set)
	old.Close()
}
