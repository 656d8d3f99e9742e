package hub

import (
	"slices"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/router"
	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/transport"
)

// replay is what is left of the retained messages that a new subscription
// brings. A message that was replaced since is left out: its successor was
// delivered as a live message.
//
// The messages are looked up when it is their turn, some at a time: a client that
// subscribes again and again and does not read costs one look-up, and one whose
// filters match nothing among very many topics delays nobody else. Those of QoS 1 and 2 come
// behind what waited in the queue when the client subscribed, and before what
// came later. [MQTT-4.6.0-5]
type replay struct {
	born   uint32 // the subscription; see subscription.born
	turn   uint32 // the SUBSCRIBE; see subscription.turn
	behind int    // the place in the queue; see session.End
	filter string
	last   uint64                           // the messages are those until this number; see router.Retained
	stored bool                             // those of QoS 1 and 2 are in the store's queue already
	search *router.Search[*message.Message] // nil before the first
	list   []*message.Message               // found and not sent
	qos    byte
	raised bool // also messages of a lower QoS are sent with qos
	ids    []uint32
}

// level is the QoS with which a message is sent.
func (r *replay) level(m *message.Message) byte {
	if r.raised {
		return r.qos
	}
	return min(m.QoS, r.qos)
}

// inLine reports whether messages of r have their place in the queue.
func (r *replay) inLine() bool { return r.qos > 0 && !r.stored }

// holdBehindReplay makes the queue wait for the retained messages before it.
func (c *Client) holdBehindReplay() {
	if c.sess == nil {
		return
	}
	c.sess.Release()
	if r := c.replays.firstInLine(); r != nil {
		c.sess.HoldBehind(r.behind)
	}
}

// mostLooks is how many topics are looked at, with filters that have wildcards, for
// the sake of retained messages while a batch handles one connection. What is not
// found by then is looked for in another turn.
const mostLooks = 16 << 10

// look looks for more messages.
func (r *replay) look(h *Hub, l *Local) {
	if r.search == nil {
		r.search = h.retained.Search(r.filter, r.last)
	}
	l.looks -= r.search.Next(func(m *message.Message) {
		if !r.stored || r.level(m) == 0 {
			r.list = append(r.list, m)
		}
	})
}

// looked reports whether all messages have been found.
func (r *replay) looked() bool { return r.search != nil && r.search.Done() }

// replayRetained sends the retained messages of subscriptions, in order, while
// there is room, and reports whether that has ended. It stops behind one with
// messages that the queue waits for. c.mu is held.
func (c *Client) replayRetained(b *transport.Batch, l *Local, ln *Link) (full bool) {
	for r := c.replays.first(); r != nil; r = c.replays.first() {
		inLine := r.inLine()
		done, full := c.replayOne(b, l, ln, r)
		if !done {
			return full
		}
		if c.replays.pop(); c.replays.len() == 0 {
			*c.replays = replays{}
			c.replays, l.replays = nil, c.replays
		}
		if inLine {
			return false
		}
	}
	return false
}

// replayOne reports whether r is done, and if not, whether that is for want of
// room.
func (c *Client) replayOne(b *transport.Batch, l *Local, ln *Link, r *replay) (done, full bool) {
	var pub message.Publication
	if sub := c.subs.get(r.filter); sub == nil || sub.born != r.born {
		return true, false // unsubscribed meanwhile [MQTT-3.10.4-2]
	}
	if c.room(ln) <= 0 {
		return false, true
	}
	for {
		if len(r.list) == 0 {
			switch {
			case r.looked():
				return true, false
			case l.looks <= 0:
				c.wantDrain(ln) // which is the next turn
				return false, false
			}
			r.look(c.hub, l)
			continue
		}
		m := r.list[0]
		if c.room(ln) <= 0 {
			return false, true
		}
		if r.level(m) > 0 && !c.sess.CanInsert() {
			return false, false
		}
		r.list = r.list[1:]
		if now, ok := c.hub.retained.Get(m.Topic); ok && now == m {
			c.sendRetained(b, l, ln, r, &pub, m)
		}
	}
}

// RETAIN is set, since a subscription brings it. [3.1.1: MQTT-3.3.1-8]
func (c *Client) sendRetained(b *transport.Batch, l *Local, ln *Link, r *replay, pub *message.Publication, m *message.Message) {
	if m.Expired(b.Now) {
		c.dropped(l, Expired, 1)
		return
	}
	if a := c.hub.access(); a != nil && !a.Receive(c, []byte(m.Topic)) {
		c.dropped(l, NotAllowed, 1)
		return
	}
	pub.SetKept(m, b.Now)
	e := session.Entry{Message: m, IDs: r.ids, QoS: r.level(m), Retain: true}
	if (ln.MaxPacket != 0 || ln.Mount != "") && c.tooLarge(l, ln, &e, pub) {
		return
	}
	id := uint16(0)
	if e.QoS > 0 {
		var ok bool
		if id, ok = c.sess.Insert(&e); !ok {
			return
		}
	}
	c.emit(b, 0, c.frame(l, ln, &e, pub, id), 0)
}

// replays are those of one client, in the order of its SUBSCRIBEs. However many
// there are, none is looked at more often than it is sent from. A nil replays is
// empty.
type replays struct {
	list   []replay
	inLine int // the first of list that is inLine, or len(list)
}

// manyReplays is how many more replays than subscriptions may wait before those
// are left out that a later SUBSCRIBE of the same filter repeats.
const manyReplays = 1000

func (rs *replays) len() int {
	if rs == nil {
		return 0
	}
	return len(rs.list)
}

// first returns the first replay, nil if there is none. It is valid until the
// next change.
func (rs *replays) first() *replay {
	if rs.len() == 0 {
		return nil
	}
	return &rs.list[0]
}

func (rs *replays) firstInLine() *replay {
	if rs == nil || rs.inLine == len(rs.list) {
		return nil
	}
	return &rs.list[rs.inLine]
}

func (rs *replays) push(r replay) {
	rs.list = append(rs.list, r)
	rs.seek(min(rs.inLine, len(rs.list)-1))
}

// pop forgets the first.
func (rs *replays) pop() {
	rs.list[0] = replay{}
	rs.list = rs.list[1:]
	rs.seek(max(rs.inLine-1, 0))
}

// seek finds the first that is inLine; none before from is.
func (rs *replays) seek(from int) {
	for rs.inLine = from; rs.inLine < len(rs.list) && !rs.list[rs.inLine].inLine(); rs.inLine++ {
	}
}

// thin leaves out what is not to be sent any more, and of those that were not
// begun what comes again later, if there are many.
func (rs *replays) thin(subs *subscriptions) {
	if rs.len() < 2*len(subs.list)+manyReplays {
		return
	}
	rs.list = slices.DeleteFunc(rs.list, func(r replay) bool {
		sub := subs.get(r.filter)
		return sub == nil || sub.born != r.born || r.search == nil && sub.turn != r.turn
	})
	rs.seek(0)
}
