// Package model tests the broker against a small reference model of the
// standard: random sequences of what clients may do are played over raw
// packets, and everything that the broker says, or does not say, must be allowed
// by the model. All of it is in test files.
//
// The model (reference_test.go, delivery_test.go) is written from the standard,
// and knows nothing of how the broker works. Where the standard leaves a choice,
// a comment that begins with "Choice:" says which one the broker has made. Steps
// (steps_test.go) are values, so that a failing sequence can be made shorter and
// be printed; playing them (play_test.go) needs a World, which says how to
// connect, how to know that the broker is at rest, and how to let time pass.
//
//	go test ./internal/model                                # 2,000 sequences, always the same
//	go test -short ./internal/model                         # a fifth of that
//	go test ./internal/model -rapid.checks=20000            # others, each time
//	go test ./internal/model -run TestPipe -rapid.seed=123  # one that failed
//
// A failure prints its seed and its conversation; rapid keeps it in
// testdata/rapid, where the next run begins with it.
package model
