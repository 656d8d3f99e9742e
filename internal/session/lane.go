package session

import (
	"cmp"
	"slices"
)

// lane is messages that wait to be sent for the first time, in order: those that are loaded, and behind them those that only
// the store has.
type lane struct {
	queue   queue
	backlog int    // messages that only the store has
	cursor  uint64 // the Seq behind which the store is asked for them
	doubted int    // the first of all these to ask Effects.Guard about
}

func (l *lane) waiting() int { return l.queue.n + l.backlog }

// past is what waited already when a session with LiveFirst was resumed. What comes from then on overtakes it: the past is
// sent while nothing else waits, a part of the window at a time, and no faster than PastRate. Whatever is not sent when the
// connection ends is in the store as ever, and the past of the next one: nothing of this is stored. Topics are Ordered Topics
// by default only, and LiveFirst is the administrator's word that the client's are not.
type past struct {
	lane
	last uint64 // no Seq of the past is higher, and every other is
	due  int64  // when PastRate allows the next; unix µs
}

const (
	// pastFlying is how many messages may be under way when one of the past joins
	// them: so few are before a live message that comes now.
	pastFlying = 100
	// pastLate is by how many milliseconds PastRate catches up when Pump is called
	// late.
	pastLate = 250
)

// turn is the lane that is sent from next.
func (s *Session) turn() *lane {
	if s.past != nil && s.lane.waiting() == 0 {
		return &s.past.lane
	}
	return &s.lane
}

// first is the lane with the message that has waited longest, if any does.
func (s *Session) first() *lane {
	if s.past != nil {
		return &s.past.lane
	}
	return &s.lane
}

// held reports whether the past has to wait now, and for how long if it is a matter of time.
func (p *past) held(s *Session, now int64, fx *Effects) bool {
	if s.p.PastRate > 0 && p.due > now*1000 {
		fx.Due = (p.due + 999) / 1000
		return true
	}
	return s.flying >= pastFlying
}

// spend counts one message of the past against PastRate.
func (p *past) spend(s *Session, now int64) {
	if s.p.PastRate > 0 {
		p.due = max(p.due, (now-pastLate)*1000) + 1e6/int64(s.p.PastRate)
	}
}

// settle forgets a past that is over: the session is one like any other then.
func (s *Session) settle() {
	if s.past != nil && s.past.waiting() == 0 {
		s.past = nil
	}
}

// bySending puts messages of one session in the order in which they were sent. Identifiers are given out in a circle, and
// the widest gap between those in flight is where it has not come again yet. [MQTT-4.6.0-1]
func bySending(list []Entry) {
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.PacketID, b.PacketID) })
	start, widest := 0, 0
	for i := range list {
		before := list[(i+len(list)-1)%len(list)].PacketID
		if gap := distance(before, list[i].PacketID); gap > widest {
			start, widest = i, gap
		}
	}
	copy(list, slices.Concat(list[start:], list[:start]))
}
