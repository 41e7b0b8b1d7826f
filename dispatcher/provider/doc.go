// Package provider is how to speak to an LLM provider: one dialect a file,
// over net/http. A Client sends one prompt and says what the answer means; it
// never retries and never waits, since when to send is the dispatcher's
// business.
//
// Prompts, answers and credentials leave this package in an Answer's fields
// only: its errors and messages carry neither a credential nor a URL's query.
package provider
