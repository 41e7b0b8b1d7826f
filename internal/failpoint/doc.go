// Package failpoint lets tests make the program fail at named points: it is
// killed there, gets an error, finds the disk full, or stands still. Without
// the build tag failpoint a point is an empty function, which the compiler
// removes.
//
// A program that was built with the tag reads its faults from the environment:
//
//	PROMPTFORGE_FAILPOINTS=POINT=ACTION[@N][xM],…
//
// ACTION is crash, error, enospc or stall; it happens from the N-th time on
// that the point is reached (1), M times (1; 0 is for ever).
// PROMPTFORGE_FAILPOINTS_STALL is how long a stall takes (5s), and to
// PROMPTFORGE_FAILPOINTS_LOG a line "POINT ACTION" is appended for each fault,
// so that a test knows that it came about.
package failpoint
