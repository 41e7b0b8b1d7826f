package rate

import "time"

// SetCaps replaces the operator's caps. What was learned stays.
func (c *Controller) SetCaps(now time.Time, cfg Config) {
	seed := c.cfg.Seed
	c.cfg = cfg
	c.cfg.Seed = seed
	c.window.most = float64(max(1, cfg.Concurrency))
	c.window.limit = min(c.window.limit, c.window.most)
	at, _ := c.since(now)
	c.capRequests.SetRate(at, float64(cfg.RPM))
	c.capTokens.SetRate(at, float64(cfg.TPM))
}
