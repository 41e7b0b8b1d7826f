// Package rate decides how fast a lane may send. It is pure: time is an
// argument, and nothing here starts a goroutine or reads a clock, so that the
// same decisions can be replayed in virtual time.
//
// A Controller obeys, in this order: the caps of the operator and the caller,
// what the provider says in its headers, and, where it says nothing, a plain
// additive increase: more requests at once until the first refusal or until
// more at once only makes each slower, then the rate at which answers were
// accepted, raised gently.
package rate
