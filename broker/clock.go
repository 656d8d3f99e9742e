package broker

import (
	"context"
	"log/slog"
	"time"

	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/disk"
)

// clock is the time by which sessions and messages expire. It begins with the
// machine's clock and then goes on evenly, whatever happens to that: when the
// clock of a machine without a battery jumps from 1970 to now, nothing expires.
// How far the two are apart is kept in the store, and so the next start continues
// it; nor does it ever begin before a time that the store has seen.
type clock struct {
	wall  func() time.Time // the machine's
	store *disk.Store      // nil: nothing outlives this process
	log   *slog.Logger
	start time.Time
	base  int64 // of start, in unix milliseconds

	kept    disk.Clock // newClock's, then run's
	records int64      // of the store when it was kept; likewise
}

const (
	clockEvery = 5 * time.Second                            // between looks at the machine's clock
	clockSteps = 2000                                       // milliseconds that it may be off without being set
	clockSaved = int64(60 * time.Second / time.Millisecond) // of a store that is written to
)

// newClock begins a clock. wall is nil for that of the machine.
func newClock(wall func() time.Time, s store.Store, log *slog.Logger) *clock {
	if wall == nil {
		wall = time.Now
	}
	c := &clock{wall: wall, log: log, start: time.Now(), base: wall().UnixMilli()}
	if c.store, _ = s.(*disk.Store); c.store != nil {
		c.kept = c.store.Clock()
		c.base = max(c.base-c.kept.Behind, c.kept.Latest)
		c.keep(c.kept.Latest == 0)
	}
	return c
}

// now is the time in unix milliseconds. It never goes back.
func (c *clock) now() int64 { return c.base + int64(time.Since(c.start)/time.Millisecond) }

// run keeps the clock until ctx ends.
func (c *clock) run(ctx context.Context) {
	if c.store == nil {
		return
	}
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			c.keep(c.store.Metrics().Records != c.records)
			return
		case <-tick.C:
			c.keep(c.store.Metrics().Records != c.records && c.now()-c.kept.Latest > clockSaved)
		}
	}
}

// keep writes the clock down if it is due, or if the machine's clock was set.
func (c *clock) keep(due bool) {
	at := disk.Clock{Latest: c.now()}
	at.Behind = c.wall().UnixMilli() - at.Latest
	moved := at.Behind - c.kept.Behind
	set := moved > clockSteps || moved < -clockSteps
	if !set && !due {
		return
	}
	if !set {
		at.Behind = c.kept.Behind
	}
	if _, err := c.store.SetClock(at); err != nil {
		return // the store has said why; it is tried again
	}
	if set {
		c.log.Info("the clock of this machine was set: what waits does not expire by that", "forward", time.Duration(moved)*time.Millisecond)
	}
	c.kept, c.records = at, c.store.Metrics().Records
}
