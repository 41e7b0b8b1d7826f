package dispatcher

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

func capped(t *testing.T, rpd int) *sim {
	s := newSim(t, func(int64, time.Duration) provider.Answer { return done() })
	s.lane.cfg.RPD = rpd
	return s
}

// The operator's cap of a day is kept to the request, and the lane goes on by
// itself at midnight.
func TestDayCap(t *testing.T) {
	for _, rpd := range []int{1, 10, 1000, 5000} {
		s := capped(t, rpd)
		r := s.job("a", 1, 3*rpd+rpd/2, job.Job{})
		s.run(23 * time.Hour)
		if n := len(s.sentAt); n != rpd {
			t.Errorf("cap %d: %d requests on the first day", rpd, n)
		}
		p := s.lane.pace(s.now, r, 1)
		if midnight := s.start.Add(day); !p.HeldUntil.Equal(midnight) || p.HoldReason == "" || p.BoundBy != "hold" {
			t.Errorf("cap %d: %+v", rpd, p)
		}
		if s.lane.probeNow(s.now) {
			t.Error("a lane that has reached the operator's own cap would be probed")
		}
		s.run(5 * day)
		s.want(r, "COMPLETED")
		for d := range time.Duration(4) {
			if n := s.sentBetween(d*day, (d+1)*day); n > rpd {
				t.Errorf("cap %d: %d requests on day %d", rpd, n, d+1)
			}
		}
	}
}

// Over restarts, and crashes, no more than the cap is sent on a day, and after
// a stop in good order no less.
func TestDayCapOverRestarts(t *testing.T) {
	for _, crash := range []bool{false, true} {
		const rpd = 2000
		sent := 0
		var kept []byte
		now := time.Time{}
		for range 8 {
			s := capped(t, rpd)
			if !now.IsZero() {
				s.now = now
			}
			if m, ok := readMemory(kept); ok {
				s.lane.remember(s.now, &m)
			}
			s.job("a", 1, 10_000, job.Job{})
			s.saved = func(m *memory) {
				var err error
				if kept, err = json.Marshal(m); err != nil {
					t.Fatal(err)
				}
			}
			s.run(10 * time.Second)
			if !crash {
				s.lane.stopping = true
				s.run(time.Minute)
				m := s.lane.memory()
				m.Day.Sent = s.lane.today.sent
				s.saved(&m)
			}
			sent += len(s.sentAt)
			now = s.now
		}
		if sent > rpd || sent < rpd*3/4 {
			t.Errorf("crash %v: %d requests under a cap of %d", crash, sent, rpd)
		}
	}
}

// What an older version kept is taken up, and what a newer one may keep does
// no harm.
func TestMemoryOfOtherVersions(t *testing.T) {
	m, ok := readMemory([]byte(`{"succeeded":true,"rate":{"rpm":60}}`))
	if !ok || !m.Succeeded || m.Rate.RPM != 60 || m.Hold != nil {
		t.Errorf("an older one: %+v %v", m, ok)
	}
	m, ok = readMemory([]byte(`{"succeeded":true,"rate":{},"hold":{"kind":"eclipse","since":"2026-01-01T00:00:00Z"},"moon":1}`))
	if !ok {
		t.Fatal("a newer one is not read")
	}
	l := newLane(laneConfig{Rate: rate.Config{Concurrency: 1}}, nil, false, &slots{most: 1}, 1, time.Now())
	l.remember(time.Now(), &m)
	if !l.succeeded || l.hold != nil {
		t.Error("a hold of a kind that is not known holds the lane")
	}
	if _, ok := readMemory([]byte("{")); ok {
		t.Error("what is cut is read")
	}
}
