// Package judge tells whether a service kept its promises over crashes. It
// knows only two things: what was acknowledged to clients ([History]), and what
// the provider counted ([Counts]). It never looks at how the service works, so
// it can judge any run: one that was killed, one whose power was cut, one whose
// disk was full.
//
// What it checks:
//
//   - every line has exactly one record at the end, and never two;
//   - each answer is its own prompt's;
//   - what was acknowledged is there later, byte for byte;
//   - a prompt was requested once, once more for each fault that was ordered for
//     it and each refusal for the rate, and at most once more for each crash at
//     which it was in flight; and never again after its outcome was seen;
//   - a job that no crash befell counts exactly the requests that the provider
//     saw;
//   - states move only along the edges, counts never fall, times stand still;
//   - nothing changes after the settlement;
//   - a client has one active job at a time, and no job is forgotten;
//   - no listed file is missing, short or altered ([CheckFolder] for those on
//     the disk).
//
// A caller tells each answer right after it came, with the moment before its
// question was asked ([History.Now]), so that answers which crossed each other
// are not held against the service. In the end it looks at everything once more
// and asks for the [History.Verdict].
package judge
