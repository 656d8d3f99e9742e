package session

// Stamp says when a message came, now in unix milliseconds, for a session with a QueueAge. It is what the store keeps for
// each delivery, and so survives a crash, a number that a Subscription Identifier may have: seconds, from a circle of eight
// years.
func Stamp(now int64) []uint32 { return []uint32{uint32(max(now/1000&stampMask, 1))} }

const stampMask = 1<<28 - 1

// Waited is how many milliseconds before now a message came that has the Stamp; 0 if it has none.
func Waited(stamp []uint32, now int64) int64 {
	if len(stamp) != 1 {
		return 0
	}
	waited := (now/1000 - int64(stamp[0])) & stampMask
	if waited >= stampMask/2 { // the clock was set back
		return 0
	}
	return waited * 1000
}

// stale reports whether e has waited for too long. What has been sent before is not asked about: it goes on.
func (s *Session) stale(e *Entry, now int64) bool {
	return s.p.QueueAge > 0 && Waited(e.IDs, now) > s.p.QueueAge
}
