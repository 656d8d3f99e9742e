package session

// Stamp says when a message came, now in unix milliseconds, for a session with a QueueAge. It is what the store keeps for
// each delivery, and so survives a crash, a number that a Subscription Identifier may have: seconds, from a circle of eight
// years.
func Stamp(now int64) []uint32 { return []uint32{uint32(max(now/1000&stampMask, 1))} }

const stampMask = 1<<28 - 1

// stale reports whether e has waited for too long. What has been sent before is not asked about: it goes on.
func (s *Session) stale(e *Entry, now int64) bool {
	if s.p.QueueAge == 0 || len(e.IDs) != 1 {
		return false
	}
	waited := (now/1000 - int64(e.IDs[0])) & stampMask
	return waited < stampMask/2 && waited*1000 > s.p.QueueAge // beyond it the clock was set back
}
