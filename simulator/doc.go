// Package simulator is a stand-in for an LLM provider: an http.Handler that
// answers in a real provider's dialect, with limits, latencies and faults to
// order. The demo, the tests and the benchmarks send their prompts to it.
//
// Every answer depends on its prompt alone and names it ([PromptKey]), so that
// a test can tell whose answer it holds. Every fault is a hash of (seed,
// prompt, attempt), so that one seed gives the same faults in whatever order
// the prompts arrive. What the server saw is counted, in total and per prompt
// ([Server.Stats], GET /_stats).
//
// # Markers
//
// A marker inside a prompt decides what becomes of that prompt, whatever the
// shares of [Config] say: [[simulate:CLASS]] at every attempt,
// [[simulate:CLASS:N]] at the first N attempts, after which it is answered.
// Where a prompt holds several, the first that covers the attempt counts:
// "[[simulate:500:1]][[simulate:429:3]]" gives a 500, two 429 and an answer.
// The classes stand in markers.go, the one place to add another; a class that
// is not there is refused with 400, so that a typo cannot pass as an answer.
//
// # Stopping
//
// A request that hangs ends when its client leaves, so call
// httptest.Server.CloseClientConnections before Close, or http.Server.Close.
package simulator
