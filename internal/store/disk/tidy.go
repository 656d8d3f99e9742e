package disk

import (
	"context"
	"errors"
	"time"
)

// Pebble keeps what was deleted until it comes across it, which it does while it
// is written to. A queue that was drained, or sessions that have expired, would
// lie there for as long as nobody writes. So when a store has had time to rest, and
// its directory is far larger than what is in it, all of it is rewritten once.

const (
	tidyAfter = 10 * time.Second // behind the last look, if something was written
	slack     = 64 << 20         // bytes: logs that are used again, and what is being rewritten
)

// wasteful reports whether the directory has more than twice the live data.
func (s *Store) wasteful(slack int64) bool {
	m := s.db.Metrics()
	stats := s.Stats()
	const perKey = 32 // bytes of a key with little in its value
	live := stats.MessageBytes + stats.RetainedBytes + perKey*int64(stats.Queued) + 4*perKey*int64(stats.Sessions+stats.Subscriptions)
	return int64(m.DiskSpaceUsage()) > 2*live+slack
}

// startTidy tidies beside all else, unless it is going on already. It is called by
// settle.
func (s *Store) startTidy() {
	if !s.tidying.CompareAndSwap(false, true) {
		return
	}
	go func() { // Close waits for it, once begin lets it in
		defer s.tidying.Store(false)
		if s.begin() != nil {
			return
		}
		defer s.reading.Done()
		if !s.wasteful(slack) {
			return
		}
		if err := s.tidy(); err != nil && !errors.Is(err, context.Canceled) {
			s.log.Warn("reclaim the space of what is gone", "dir", s.dir, "err", err)
		}
	}()
}

// tidy rewrites everything without what was deleted. Close ends it.
func (s *Store) tidy() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-stop:
		}
	}()
	// It begins with what is not in tables yet. A flush of nothing would leave a log
	// with nothing in it, which checkLogs takes for damage.
	return s.guard(func() error { return s.db.Compact(ctx, []byte{0}, []byte{0xff}, false) })
}
