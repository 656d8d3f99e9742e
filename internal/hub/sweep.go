package hub

import (
	"sort"

	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/timer"
)

// Messages that expire while their client is away, or that have waited longer than
// its queue allows, are taken out of the store when their time is over, not only when
// the client comes back. What a store knows without the disk is enough to find the
// former; the latter are the first of the queue, and a few are read to find how many.
// A client is looked at in rounds, at most
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
	young   bool      // what the round has not seen yet has not waited too long
}

// age is how many milliseconds a message may wait for the client; 0: any number.
func (c *Client) age() int64 {
	l := c.hub.limits.Load()
	if len(l.Queues) == 0 {
		return 0
	}
	return l.Queues[c.ID].Age
}

// noteExpiry notes a message that waits in the store, with its expiry; 0 is none.
// c.mu is held.
func (c *Client) noteExpiry(expires, now int64) {
	if age := c.age(); age > 0 {
		expires = sooner(expires, now+age) // or before, if it waits already
	}
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
		x.left, x.young = 0, false
	}
	list := c.hub.store.Waiting(nil, c.durable, x.from, expiryPiece)
	stale := c.countStale(list, now)
	var recs []store.Record
	bytes := 0
	for i, w := range list {
		if i < stale || w.Expires != 0 && now >= w.Expires { // [MQTT-3.3.2-5]
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

// countStale returns how many of a piece, the first ones, have waited for longer than
// the queue allows. c.mu is held.
func (c *Client) countStale(list []store.Waiting, now int64) int {
	x, age := c.expiring, c.age()
	if age == 0 || x.young {
		return 0
	}
	var one []store.Entry
	n := sort.Search(len(list), func(i int) bool {
		var err error
		one, err = c.hub.store.Queue(one[:0], c.durable, list[i].Seq-1, 1)
		if err != nil || len(one) == 0 || one[0].Seq != list[i].Seq {
			return true // it cannot be read, and stays
		}
		waited := session.Waited(one[0].IDs, now)
		if waited > age {
			return false
		}
		x.left = sooner(x.left, now+age-waited+1000) // a stamp counts whole seconds
		return true
	})
	x.young = n < len(list)
	return n
}
