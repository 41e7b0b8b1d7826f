package rate

const (
	minuteSeconds = 60.0
	binSeconds    = 0.25
	minuteBins    = int(minuteSeconds/binSeconds) + 1
	// lateSeconds is how much longer than another a request may be on its way
	// without the minute being exceeded at the provider.
	lateSeconds = 0.03
)

// bin is what left in a quarter of a second.
type bin struct{ requests, tokens, refused float64 }

// minute is what left in the last 60 s, in bins, so that its memory does not
// grow with the rate. A request counts until its whole bin is a minute old.
type minute struct {
	bins [minuteBins]bin
	head int64 // the running number of the newest bin
	sum  bin
}

func (m *minute) advance(at float64) {
	head := int64(at / binSeconds)
	if head-m.head >= int64(minuteBins) {
		m.bins, m.sum, m.head = [minuteBins]bin{}, bin{}, head
		return
	}
	for m.head < head {
		m.head++
		b := &m.bins[m.head%int64(minuteBins)]
		m.sum.requests -= b.requests
		m.sum.tokens -= b.tokens
		m.sum.refused -= b.refused
		*b = bin{}
	}
}

// sent counts a request that left.
func (m *minute) sent(at, tokens float64) {
	m.advance(at)
	b := &m.bins[m.head%int64(minuteBins)]
	b.requests++
	b.tokens += tokens
	m.sum.requests++
	m.sum.tokens += tokens
}

// more counts more requests of an earlier moment.
func (m *minute) more(sentAt, requests float64) {
	n := int64(sentAt / binSeconds)
	if requests == 0 || n <= m.head-int64(minuteBins) || n > m.head {
		return
	}
	m.bins[n%int64(minuteBins)].requests += requests
	m.sum.requests += requests
}

// rewrite counts anew what was accepted, by what left between two moments.
func (m *minute) rewrite(now float64, left func(from, to float64) float64) {
	m.advance(now)
	m.sum.requests = 0
	for n := max(0, m.head-int64(minuteBins)+1); n <= m.head; n++ {
		from := float64(n) * binSeconds
		b := &m.bins[n%int64(minuteBins)]
		b.requests = left(max(from, now-minuteSeconds), min(from+binSeconds, now))
		m.sum.requests += b.requests
	}
}

// refused takes a request of an earlier moment from those that were accepted.
func (m *minute) refused(now, sentAt, tokens float64) {
	m.advance(now)
	m.take(sentAt, tokens)
	n := int64(sentAt / binSeconds)
	if n > m.head-int64(minuteBins) && n <= m.head {
		m.bins[n%int64(minuteBins)].refused++
		m.sum.refused++
	}
}

// take forgets a request of an earlier moment.
func (m *minute) take(sentAt, tokens float64) {
	n := int64(sentAt / binSeconds)
	if n <= m.head-int64(minuteBins) || n > m.head {
		return
	}
	b := &m.bins[n%int64(minuteBins)]
	b.requests--
	b.tokens -= tokens
	m.sum.requests--
	m.sum.tokens -= tokens
}

// opens is when the accepted requests of the last minute, with counted the
// refused ones too, will be fewer than limit; the present or earlier when they
// are.
func (m *minute) opens(now, limit float64, counted bool) float64 {
	m.advance(now)
	left := m.sum.requests
	if counted {
		left += m.sum.refused
	}
	if left < limit {
		return now
	}
	for n := m.head - int64(minuteBins) + 1; n <= m.head; n++ {
		if n < 0 {
			continue
		}
		b := &m.bins[n%int64(minuteBins)]
		left -= b.requests
		if counted {
			left -= b.refused
		}
		if left < limit {
			return max(now+lateSeconds, float64(n+1)*binSeconds+minuteSeconds+lateSeconds)
		}
	}
	return now + minuteSeconds
}
