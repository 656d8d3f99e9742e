package hub

import (
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/timer"
)

// Messages that expire while their client is away are taken out of the store when
// their time is over, not only when the client comes back. What a store knows
// without the disk is enough to find them. A client is looked at in rounds, at most
// one every expiryEvery, and only when something in its queue is due; a round goes
// through the queue in pieces, so that nobody waits for a long one.
const (
	expiryEvery = 10_000 // milliseconds
	expiryPiece = 1024   // messages
)

// expiring is what is known of the messages with an expiry that wait for a client.
type expiring struct {
	soonest int64     // no message expires before; unix ms
	at      int64     // when the next piece is due while the client is away; unix ms
	from    store.Seq // behind which the round goes on; 0: a new one begins
	left    int64     // soonest of those that the round has seen and left; 0: none
}

// noteExpiry notes a message that waits in the store, with its expiry; 0 is none.
// c.mu is held.
func (c *Client) noteExpiry(expires, now int64) {
	if expires == 0 || c.ended {
		return
	}
	x := c.expiring
	if x == nil {
		x = &expiring{soonest: expires}
		c.expiring = x
	} else if expires >= x.soonest && x.from == 0 {
		return
	}
	x.soonest = min(x.soonest, expires)
	x.left = sooner(x.left, expires)
	if c.link.Load() == nil && (x.at == 0 || x.at > roundFor(expires, now)) {
		x.at = roundFor(expires, now)
		c.hub.timers.Schedule(&c.timer, c, c.nextDeadline())
	}
}

// roundFor is when a round is due that finds a message expired: all that expire
// within the same ten seconds go in one.
func roundFor(expires, now int64) int64 {
	return (max(expires, now)/expiryEvery + 1) * expiryEvery
}

// sooner is the lower of two times, of which 0 is none.
func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// dropExpired looks at a piece of the queue and returns how many messages it has
// taken out. c.mu is held, and the client is away.
func (c *Client) dropExpired(now int64) int {
	x := c.expiring
	if x.from == 0 {
		x.left = 0
	}
	list := c.hub.store.Waiting(nil, c.durable, x.from, expiryPiece)
	var recs []store.Record
	bytes := 0
	for _, w := range list {
		if w.Expires != 0 && now >= w.Expires { // [MQTT-3.3.2-5]
			recs = append(recs, &store.Done{Session: c.durable, Seq: w.Seq})
			bytes += w.Size
		} else {
			x.left = sooner(x.left, w.Expires)
		}
	}
	if len(recs) > 0 {
		if _, err := c.hub.store.Submit(recs...); err != nil { // another round, when it takes something again
			x.from, x.at = 0, roundFor(x.soonest, now)
			return 0
		}
	}
	c.waiting -= len(recs)
	c.bytes -= bytes
	switch {
	case len(list) == expiryPiece:
		x.from, x.at = list[len(list)-1].Seq, now+timer.Tick
	case x.left == 0:
		c.expiring = nil
	default:
		*x = expiring{soonest: x.left, at: roundFor(x.left, now)}
	}
	return len(recs)
}
