// Package results renders what a client downloads: public files of 5,000
// results and errors.jsonl, as views over a job's parts and segments. Nothing
// is kept for it: the lengths were counted when the outcomes were recorded, and
// a download reads only what it must.
package results
