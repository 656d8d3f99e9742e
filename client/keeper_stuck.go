package client

import (
	"errors"
	"fmt"

	"github.com/nightjarmq/nightjar/packet"
)

// stuckAfter is how many connections in a row must end over a message before that is told.
const stuckAfter = 3

// ErrAbandoned is the fate of a message that KeeperOptions.Abandon has given up.
var ErrAbandoned = errors.New("given up, because connections end without its acknowledgement")

// suspicion is about a message that may be why connections end. Which of many it is nobody says, so after a connection on
// which nothing was acknowledged the next one has one message under way at a time, until something is acknowledged.
type suspicion struct {
	alone bool    // the next connection is such a one
	of    *queued // was under way, and nothing else, when the last ones ended; nil: none
	times int     // how many those are
}

// suspect considers a connection that has ended, because of err. It tells when too many have ended over one message, and
// gives that up if it shall.
func (k *Keeper) suspect(c *Client, err error) {
	s := &k.suspicion
	o, sole := k.session.underWay()
	switch {
	case c.answered():
		*s = suspicion{}
		return
	case o == nil || o.queued == nil: // nothing, or what a handler has published past the queue
		return
	case !sole:
		*s = suspicion{alone: true}
		return
	case s.of != o.queued:
		*s = suspicion{alone: true, of: o.queued}
	}
	if s.times++; s.times < stuckAfter {
		return
	}
	m := s.of.message
	k.o.OnEvent(Event{Kind: MessageStuck, Topic: string(m.Topic), Message: m, Times: s.times, Err: err})
	if o.state == awaitAck && k.o.Abandon != nil && k.o.Abandon(m, s.times, err) {
		k.abandon(o, fmt.Errorf("%w: %w", ErrAbandoned, err))
		*s = suspicion{}
	}
}

// abandon gives up a message that was sent and not acknowledged. The server may have it nevertheless, so the number of a
// QoS 2 message is released on the next connection as if PUBREC had come: a later message with that number must not be
// taken for its repeat.
func (k *Keeper) abandon(o *outgoing, err error) {
	q := o.queued
	if o.qos == 1 {
		k.session.remove(o)
		k.finish(q, packet.Ack{}, err)
		return
	}
	k.tell(q, packet.Ack{}, err)
	q.done = nil
	o.state, o.encoded = awaitComp, nil
	if k.session.records != nil {
		k.session.records.pubrec(q) // or it is sent once more by the next process, which does no harm
	}
}

// underWay gives the first message that was sent and not fully acknowledged, nil if there is none, and whether it is the
// only one.
func (s *Session) underWay() (first *outgoing, sole bool) {
	for _, o := range s.unfinished() {
		switch {
		case o.state == notSent:
		case first != nil:
			return first, false
		default:
			first = o
		}
	}
	return first, true
}

// keepBack takes the places of the quota, until the server acknowledges something: all but one, which is for a PUBREL if
// there is any. The goroutines do not run yet.
func (c *Client) keepBack() {
	c.keptBack = cap(c.quota) - max(len(c.quota), 1)
	for range c.keptBack {
		c.quota <- struct{}{}
	}
}

// answer notes that the server has acknowledged something. The caller holds the lock.
func (c *Client) answer() {
	c.heard = true
	for ; c.keptBack > 0; c.keptBack-- {
		c.release()
	}
}

// answered reports whether the server has acknowledged a message on this connection.
func (c *Client) answered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}
