package hub

import (
	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
)

// full reports whether the queue of an absent client that has so many messages, of
// so many bytes, has no room for one more of the size. One message always fits.
func (q *Queue) full(messages, bytes, size int) bool {
	return q.Messages > 0 && messages >= q.Messages ||
		q.Bytes > 0 && messages > 0 && bytes+size > q.Bytes
}

// stamp gives e the time at which it came, if that matters.
func (q *Queue) stamp(e *session.Entry, now int64) {
	if q.Age > 0 {
		e.IDs = session.Stamp(now)
	}
}

// dropsOldest reports whether a full queue gives up what has waited longest. One with an age does: the oldest are those that
// it is going to drop.
func (c *Client) dropsOldest() bool {
	l := c.hub.limits.Load()
	return l.DropOldest || len(l.Queues) > 0 && l.Queues[c.ID].Age > 0
}

// dropOldest gives up the message that has waited longest, so that there is room
// for the one at hand. It reports false if that is not the policy, if another member
// of a shared subscription may have room, or if nothing can be given up: then the
// message at hand is dropped. c.mu is held.
func (c *Client) dropOldest(l *Local) bool {
	if !c.dropsOldest() || l.sharing && !l.pressing || !c.giveUpOldest() {
		return false
	}
	l.evicted++ // apart, for deliverShared takes back what it counted in Stats
	c.countDropped(QueueFull, 1)
	return true
}

// giveUpOldest takes the first waiting message out of the queue and out of the
// store, and reports whether there was one.
func (c *Client) giveUpOldest() bool {
	if c.sess != nil {
		if seq, loaded := c.sess.Oldest(); loaded {
			if c.durable != 0 && !c.giveUp(store.Seq(seq)) {
				return false
			}
			c.sess.DropOldest()
			return true
		}
	}
	behind := uint64(0)
	if c.sess != nil {
		var ok bool
		if behind, ok = c.sess.Backlog(); !ok {
			return false
		}
	}
	var one [1]store.Waiting
	list := c.hub.store.Waiting(one[:0], c.durable, store.Seq(behind), 1)
	if len(list) == 0 || !c.giveUp(list[0].Seq) {
		return false // it is on its way to the store
	}
	if c.sess != nil {
		c.sess.DropStored(list[0].Size)
	} else {
		c.waiting--
		c.bytes -= list[0].Size
	}
	return true
}

// giveUp ends a delivery in the store. When that takes nothing, it will not take the
// message at hand either.
func (c *Client) giveUp(seq store.Seq) bool {
	_, err := c.hub.store.Submit(&store.Done{Session: c.durable, Seq: seq})
	return err == nil
}
