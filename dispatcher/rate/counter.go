package rate

import "time"

const (
	counterSlots = 10
	counterSlot  = time.Second
)

// counter counts events over the last ten seconds.
type counter struct {
	slots [counterSlots]int
	head  int64 // the running number of the newest slot
	first time.Time
}

func (c *counter) add(now time.Time, n int) {
	c.advance(now)
	c.slots[c.head%counterSlots] += n
}

// perMinute is the mean rate over the time that the counter covers.
func (c *counter) perMinute(now time.Time) float64 {
	if c.first.IsZero() {
		return 0
	}
	c.advance(now)
	sum := 0
	for _, n := range c.slots {
		sum += n
	}
	into := time.Duration(now.UnixNano() % int64(counterSlot))
	covered := min(now.Sub(c.first), (counterSlots-1)*counterSlot+into)
	return float64(sum) / max(covered.Minutes(), (100*time.Millisecond).Minutes())
}

func (c *counter) advance(now time.Time) {
	slot := now.UnixNano() / int64(counterSlot)
	if c.first.IsZero() {
		c.first, c.head = now, slot
	}
	for gone := min(slot-c.head, counterSlots); gone > 0; gone-- {
		c.head++
		c.slots[c.head%counterSlots] = 0
	}
	c.head = max(c.head, slot)
}
