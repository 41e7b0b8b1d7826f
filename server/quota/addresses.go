package quota

import (
	"container/list"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// maxAddresses is how many addresses are remembered; of more, those that failed
// longest ago are forgotten.
const maxAddresses = 10_000

// Addresses counts failed authentications by the address they came from, an
// IPv6 address by its /64, which is one caller's. A nil *Addresses counts
// nothing.
type Addresses struct {
	perMinute int
	rate      rate

	mu     sync.Mutex
	known  map[netip.Prefix]*list.Element
	recent *list.List // of *address; the latest first
}

type address struct {
	prefix netip.Prefix
	failed bucket
}

// NewAddresses allows so many failures a minute, and twice as many at once.
func NewAddresses(perMinute int) *Addresses {
	if perMinute <= 0 {
		return nil
	}
	return &Addresses{
		perMinute: perMinute, rate: rate{time.Minute / time.Duration(perMinute), 2 * perMinute},
		known: map[netip.Prefix]*list.Element{}, recent: list.New(),
	}
}

// Failed counts a failed authentication. It is nil, or refuses in its place.
func (a *Addresses) Failed(from netip.Addr, now time.Time) error {
	if a == nil || !from.IsValid() {
		return nil
	}
	a.mu.Lock()
	wait := a.of(prefixOf(from)).failed.take(now, a.rate)
	a.mu.Unlock()
	if wait == 0 {
		return nil
	}
	return refuse(wait, fmt.Sprintf("The quota of failed authentications a minute from one address (%d) is used up", a.perMinute), "send a valid API key")
}

// of finds an address and makes it the latest.
func (a *Addresses) of(prefix netip.Prefix) *address {
	if e := a.known[prefix]; e != nil {
		a.recent.MoveToFront(e)
		return e.Value.(*address)
	}
	if a.recent.Len() == maxAddresses {
		oldest := a.recent.Remove(a.recent.Back()).(*address)
		delete(a.known, oldest.prefix)
	}
	added := &address{prefix: prefix}
	a.known[prefix] = a.recent.PushFront(added)
	return added
}

func prefixOf(from netip.Addr) netip.Prefix {
	from = from.Unmap().WithZone("")
	bits := 64
	if from.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(from, bits).Masked()
}
