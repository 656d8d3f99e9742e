// Package lint keeps the house: its tests read the source and fail when a rule is broken that a compiler does not know.
// Which package may import which, a sentence about each package, sizes, words that must not be there, a row for each
// dependency in docs/dependencies.md, and the code and the test of each statement of the standard (docs/conformance.md).
//
// It knows the source as text and syntax, and nothing of what it does. With -v the tests also print what has grown large;
// with -update the tables of docs/conformance.md are written anew:
//
//	go test -v ./internal/lint
//	go test ./internal/lint -run Conformance -update
package lint
