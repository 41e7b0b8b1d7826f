// Package sdktest holds the simulator and the dispatcher's dialects against the
// providers' official Go SDKs, which nobody here wrote: what the simulator
// answers must decode in them whole, an error as the SDK's own; and what an SDK
// sends for a prompt and what a dialect sends for it must mean the same.
//
// It is a module of its own, so that nothing of the SDKs enters the program.
// Mistral has no official one in Go: its answers are read, and its requests
// made, by OpenAI's, with the names that differ set by hand.
package sdktest
