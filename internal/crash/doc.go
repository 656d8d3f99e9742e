// Package crash tests that what the broker acknowledged survives the end of its
// process at any moment. All of it is in test files.
//
// A campaign starts the real program, lets many clients publish and subscribe,
// kills the program with SIGKILL again and again, at random moments or at a
// named one, and starts it on the same directory. The clients (publisher,
// subscriber, mortal, resetter) speak raw packets, obey the rules of QoS 1 and 2,
// and keep their half of the sessions; each packet goes into a history under a
// global number. The checker judges from what the clients saw alone: it knows
// nothing of how the broker stores things.
//
//	go test ./internal/crash                                # 25 kills
//	go test ./internal/crash -run TestKill -kills 1000      # in campaigns of 25
//	go test ./internal/crash -run TestKill -seed 123        # one that failed
//	go test ./internal/crash -run TestMutations -mutate     # does it catch faults?
//
// A failure names a folder with seed, history, logs and data.
package crash
