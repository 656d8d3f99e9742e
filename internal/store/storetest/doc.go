// Package storetest is what every [store.Store] must pass: a table of cases
// written as short conversations, checks with many goroutines, and random
// records against a model that is too simple to be wrong.
//
// It must never know how a store works: it submits records and reads what the
// interface shows.
//
//	func TestMemory(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return store.NewMemory() })
//	}
package storetest

import (
	"testing"

	"github.com/nightjarmq/nightjar/internal/store"
)

// Open returns an empty store. The suite closes it.
type Open func(t *testing.T) store.Store

// Reopen closes s and opens what it wrote.
type Reopen func(t *testing.T, s store.Store) store.Store

// Run tests a store that forgets everything when it is closed.
func Run(t *testing.T, open Open) { run(t, open, nil) }

// RunDurable tests a store that is the same after it was closed and opened
// again: wherever Run looks at the state, RunDurable looks again after a reopen.
func RunDurable(t *testing.T, open Open, reopen Reopen) { run(t, open, reopen) }

func run(t *testing.T, open Open, reopen Reopen) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := newDriver(t, t, open, reopen)
			defer d.close()
			c.do(d)
		})
	}
	t.Run("submissions", func(t *testing.T) { submissions(t, open) })
	t.Run("long queues", func(t *testing.T) { longQueues(t, open, reopen) })
	t.Run("random records", func(t *testing.T) { randomRecords(t, open, reopen) })
}
