// Package simulator is a stand-in for LLM providers: an http.Handler that
// answers in the dialects of OpenAI, Anthropic, Gemini and Mistral, with limits,
// latencies and faults to order. The demo, the tests and the benchmarks send
// their prompts to it. docs/simulator.md describes it for those who run it.
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
// What happens to all prompts, and can begin and end while the server runs, is
// its weather ([Server.SetWeather], POST /_weather).
//
// # Stopping
//
// A request that hangs ends when its client leaves, so call
// httptest.Server.CloseClientConnections before Close, or http.Server.Close.
package simulator
