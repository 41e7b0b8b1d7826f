// Package intake takes an upload in: one pass over the body checks and counts
// every line, writes the usable ones to a prompts file and the others as error
// records to parts. Memory does not grow with the upload.
package intake
