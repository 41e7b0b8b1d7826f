// Package storage is the memory of the service: Store, the few questions that
// the server and the dispatcher ask of it, in job's words, and Files, where
// prompts files and parts lie.
//
// Server and dispatcher meet here and nowhere else. A Store answers for what
// it acknowledged: when a method that writes returns nil, the write survives a
// power loss.
package storage
