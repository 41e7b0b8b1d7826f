// Package dispatcher holds lanes, reads the prompts of their jobs, sends them,
// and records every outcome.
//
// What a lane decides is a pure state machine (lane): events go in, commands
// come out, time is an argument. Around it stand the parts that do things: a
// laneRunner drives one lane and its workers, the committer records outcomes
// in group commits, the sealer turns segments into parts.
package dispatcher
