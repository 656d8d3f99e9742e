// Package failpoint gives names to moments in the life of the program, so that a
// test can end it there. Without the build tag failpoint, Reach does nothing and
// leaves nothing in the program.
//
//	failpoint.Reach("batch.before")
//
// Built with the tag and started with NIGHTJAR_FAILPOINT=batch.before:3, the
// program kills itself when it gets there the third time. The names are listed
// in package crash.
package failpoint
