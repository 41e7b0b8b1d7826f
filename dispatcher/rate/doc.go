// Package rate decides how fast a lane may send, and learns how fast a provider
// truly lets it. It is pure: time is an argument, and nothing here starts a
// goroutine or reads a clock, so that the same decisions can be replayed in
// virtual time. What it remembers does not grow with the requests.
//
// A Controller obeys, in this order: the caps of the operator (Pacer), what the
// provider says of its limits, and, where it says nothing, what a learner has
// made out.
//
// Of a named limit of requests (told.go) the newest ruling counts, and what is
// left of it tells what others take: the pace leaves them that. Of named limits of
// tokens (tokens.go), which may be one of all, or one of what is sent and one of
// what is answered, each is a quota (quota.go): what is left is foretold from the
// newest answer, by the way of charging, and of giving back, that foretold it
// best so far, and a request leaves when enough is left for it.
//
// Where nothing is named:
//
//   - A ramp doubles the rate until the first refusal (growth.go), the faster the
//     faster the provider answers. The answer is
//     not waited for: a request counts as accepted when no refusal came in one
//     and a half times a refusal's own time.
//   - Then the provider is shut, and one probe at a time asks when it opens, at
//     doubling gaps (closure.go). A bucket opens within a known time of what it
//     accepted before; what stays shut for twice that is a window of a minute,
//     whose count was just measured, and is left alone until its minute is over
//     (minute.go).
//   - At a refusal a bucket is empty, whatever its depth, so what it accepts
//     until the next one is its rate. Only where it overflowed in between does
//     the depth matter, and where refusals count what they cost: each span
//     (trace.go) is replayed under every law (bucketlaw.go), and the law under
//     which the spans agree is believed (belief.go). A climb makes spans that
//     differ until one explanation is left (lessons.go).
//   - A cruise then paces evenly at the rate, which fits every kind of limiter,
//     and after a while goes beyond it by 1, 2, 4 % and so on until it is
//     refused: that sharpens the rate, or finds that the limit was raised. A
//     refused probe after a wait that should have been enough tells of a fall.
//   - Refusals that have nothing to do with the rate are told from those of a
//     limit by a trial at a rate that no limit would accept, and their share is
//     excused (noise.go).
//   - The limit that explains best what was refused, and what was not, tells what
//     is counted: requests, or tokens of one kind (witness.go, evidence.go). Tokens
//     are learned in units of what a mean request takes, by the same means
//     (units.go).
//   - Refusals that come at the same number of requests at once, whatever the
//     rate, and never beyond it, are a limit of requests at once (places.go).
//
// After a restart or a hold all of this is regained from half of it within
// seconds (comeback.go).
//
// Where nothing is ever refused the requests at once are limited instead, by
// steps that are held against latency (window.go), by answers that came and by
// those that are late (cohort.go).
package rate
