package disk

import "github.com/nightjarmq/nightjar/internal/store"

// Clock is what a store remembers of time. The times in records are those of the
// store's own clock: a machine without a clock battery starts in 1970, or when it
// was last switched off, and its clock jumps when the network answers. What waits
// in the store must not expire by such a jump, so it is not part of its time. In
// milliseconds; the zero value is that of a new store.
type Clock struct {
	Latest int64 // the store's time, in unix milliseconds, was not less than this
	Behind int64 // by so much the machine's clock was ahead of the store's
}

// Clock returns what was last set.
func (s *Store) Clock() Clock {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

// SetClock remembers c. It is about this machine and follows from nothing, so it
// is no record; like one of [Store.SubmitLater] it is durable soon.
func (s *Store) SetClock(c Clock) (store.Ticket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.submit(nil)
	if err != nil {
		return 0, err
	}
	s.clock = c
	s.setNumber(keyLatest, uint64(c.Latest))
	s.setNumber(keyBehind, uint64(c.Behind))
	s.wait()
	return t, nil
}

// readClock reads what was set before.
func readClock(db *engine) (c Clock, err error) {
	latest, _, err := db.number(keyLatest)
	if err != nil {
		return c, err
	}
	behind, _, err := db.number(keyBehind)
	return Clock{int64(latest), int64(behind)}, err
}

// Clock is [Store.Clock].
func (v *View) Clock() Clock { return v.s.Clock() }
