package disk

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nightjarmq/nightjar/internal/failpoint"
	"github.com/nightjarmq/nightjar/internal/store"
)

// Checkpoint writes a copy of the store into dir, which must not be there yet and
// must be on the same file system: it is made of links, so it takes little time
// and space. The copy has everything that was submitted before, and opens like
// any other store. It does not hold up submissions. On a full disk it is not made.
func (s *Store) Checkpoint(dir string) error {
	if err := s.begin(); err != nil {
		return fmt.Errorf("copy the store to %s: %w", dir, err)
	}
	defer s.reading.Done()
	if s.fs.full() {
		return fmt.Errorf("copy the store to %s: %w", dir, store.ErrNoSpace)
	}
	failpoint.Reach("checkpoint.before")
	err := makeDir(s.fs, dir)
	if err == nil {
		err = s.guard(func() error {
			return s.db.Checkpoint(s.fs.PathJoin(dir, live), pebble.WithFlushedWAL())
		})
	}
	failpoint.Reach("checkpoint.after")
	if err != nil {
		return fmt.Errorf("copy the store to %s: %w", dir, err)
	}
	return nil
}
