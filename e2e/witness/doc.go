// Package witness does what clients do, to a server that may die at any moment,
// and tells the judge what they were told.
//
// A [Crowd] is a few clients with small jobs, all drawn from a seed: files with
// usable lines and others, prompts that fail by order, uploads that come twice,
// cancels, deletions, continued jobs, readers of streams and files. It goes on
// through crashes, repeating what was not answered, as long as the server comes
// up again at the same addresses. [Provider] is the one that they all share.
package witness
