// Package job says what a job is: its fields, its states and the only moves
// between them, a prompt line, and an outcome. It is pure: it does no I/O and
// has no clock of its own; whoever calls it brings the time.
package job
