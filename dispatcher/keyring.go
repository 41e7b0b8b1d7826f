package dispatcher

import (
	"slices"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
)

// keyring is the credentials of a lane's quota group. They are used in turn.
// One that is refused while another works is put aside and tried again by a
// prompt now and then: a dead key costs no prompt and no job.
type keyring struct {
	keys []credential
	turn int
	// generation counts the sets of credentials: an answer to one of an older
	// set tells nothing of those that are used now.
	generation int
}

type credential struct {
	aside    bool
	refusals int       // since it last worked
	next     time.Time // when it is tried again
	trying   bool      // a request that tries it is out
}

func newKeyring(n int) keyring { return keyring{keys: make([]credential, n)} }

// renew begins with other credentials.
func (k *keyring) renew(n int) {
	*k = keyring{keys: make([]credential, n), generation: k.generation + 1}
}

// pick returns the credential for the next request: one that is to be tried
// again, else the next of those that work. Where none does they take turns.
func (k *keyring) pick(now time.Time) int {
	n := len(k.keys)
	working := -1
	for i := range n {
		at := (k.turn + i) % n
		c := &k.keys[at]
		switch {
		case !c.aside && working < 0:
			working = at
		case c.aside && !c.trying && !c.next.After(now):
			c.trying = true
			k.turn = (at + 1) % n
			return at
		}
	}
	if working < 0 {
		working = k.turn
	}
	k.turn = (working + 1) % n
	return working
}

// works hears that the provider took a request with a credential. It tells
// whether that one was aside.
func (k *keyring) works(i int) bool {
	was := k.keys[i].aside
	k.keys[i] = credential{}
	return was
}

// refused hears that a credential was refused. others tells that another one
// works as far as is known; anew that this one was thought to work.
func (k *keyring) refused(now time.Time, i int) (others, anew bool) {
	c := &k.keys[i]
	anew = !c.aside
	if anew || c.trying {
		c.refusals++
		c.next = now.Add(refusalProbes[min(c.refusals-1, len(refusalProbes)-1)])
	}
	c.aside, c.trying = true, false
	return k.working(), anew
}

// working tells whether a credential works as far as is known.
func (k *keyring) working() bool {
	return slices.ContainsFunc(k.keys, func(c credential) bool { return !c.aside })
}

// untold hears that a request told nothing of its credential.
func (k *keyring) untold(now time.Time, i int) {
	if c := &k.keys[i]; c.trying {
		c.trying = false
		c.next = now.Add(refusalProbes[min(c.refusals, len(refusalProbes)-1)])
	}
}

// credential takes in what an answer says of the credential that the request
// was sent with. It is true where the refusal is of that one alone: another
// works, or there are others by now.
func (l *lane) credential(now time.Time, key, generation int, a *provider.Answer) (only bool) {
	switch {
	case generation != l.keys.generation:
		return a.Class == provider.Fatal
	case a.Class == provider.Fatal:
		others, anew := l.keys.refused(now, key)
		if others && anew {
			l.emit(command{verb: doLog, note: note{what: "a credential is refused and put aside", key: key, hasKey: true}})
		}
		return others
	case verdict(a.Class) == rate.Accepted || a.Class == provider.TooLarge:
		if l.keys.works(key) && len(l.keys.keys) > 1 {
			l.emit(command{verb: doLog, note: note{what: "a credential works again", key: key, hasKey: true, good: true}})
		}
	default:
		l.keys.untold(now, key)
	}
	return false
}

// renewKeys goes on with other credentials: where the lane is held they are
// tried at once.
func (l *lane) renewKeys(now time.Time, n int) {
	l.keys.renew(n)
	l.probeNow(now)
}
