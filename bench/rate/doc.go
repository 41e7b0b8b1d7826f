// Package rate is a laboratory for rules that decide how fast to send: an
// event loop in virtual time, without goroutines, in which a Rule meets a
// simulated provider. A Run depends on nothing but its Scenario, its rule and
// its seed.
//
// What the provider does is in server.go and the limiters beside it, what is
// tried in scenario.go, what is measured in measure.go, and what must be
// reached in rows.go. docs/rate.md explains all of it.
package rate
