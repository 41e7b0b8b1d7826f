// Package e2e tests the built binary from outside, as its users meet it: over
// HTTP, with signals, and killed in the middle.
package e2e
