// Package abuse is a suite of tests, and nothing else: what clients do that no
// client should do, and what must not happen to anybody else because of it.
package abuse
