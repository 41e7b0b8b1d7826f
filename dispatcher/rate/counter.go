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
	begun bool
	first time.Duration // when the first event came
}

func (c *counter) add(now time.Duration, n int) {
	c.advance(now)
	c.slots[c.head%counterSlots] += n
}

// perMinute is the mean rate over the time that the counter covers.
func (c *counter) perMinute(now time.Duration) float64 {
	if !c.begun {
		return 0
	}
	c.advance(now)
	sum := 0
	for _, n := range c.slots {
		sum += n
	}
	covered := min(now-c.first, (counterSlots-1)*counterSlot+now%counterSlot)
	return float64(sum) / max(covered.Minutes(), (100*time.Millisecond).Minutes())
}

func (c *counter) advance(now time.Duration) {
	slot := int64(now / counterSlot)
	if !c.begun {
		c.begun, c.first, c.head = true, now, slot
	}
	for gone := min(slot-c.head, counterSlots); gone > 0; gone-- {
		c.head++
		c.slots[c.head%counterSlots] = 0
	}
	c.head = max(c.head, slot)
}
