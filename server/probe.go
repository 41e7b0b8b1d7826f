package server

import (
	"errors"
	"net"
)

// An Addr is host:port, and the flag that gave it.
type Addr struct{ Flag, Addr string }

// Probe tells before anything is opened or made whether all these addresses can
// be listened on at once; an empty one is passed over. Its error is a sentence
// that names the flag and the address.
func Probe(addrs ...Addr) error {
	var open []net.Listener
	var err error
	for _, a := range addrs {
		if a.Addr == "" {
			continue
		}
		var l net.Listener
		if l, err = listen(a.Flag, a.Addr); err != nil {
			break
		}
		open = append(open, l)
	}
	for _, l := range open {
		err = errors.Join(err, l.Close())
	}
	return err
}
