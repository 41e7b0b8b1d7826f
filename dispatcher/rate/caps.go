package rate

import "time"

// SetCaps goes by other bounds from now on. What was learned stays.
func (c *Controller) SetCaps(now time.Time, cfg Config) {
	c.cfg = cfg
	c.window.most = float64(max(1, cfg.Concurrency))
	c.window.limit = min(c.window.limit, c.window.most)
	c.setRates(now)
}
