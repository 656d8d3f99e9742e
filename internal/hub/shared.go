package hub

import (
	"math"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/router"
	"github.com/nightjarmq/nightjar/internal/transport"
)

// deliverShared gives the message to one member of the group: the next one that
// is connected and has room, else the one for whom the least waits, else the next that
// can queue it, else the next that gives up an older one for it. [MQTT-4.8.2-4]
// A message that nobody took counts as dropped once, however many refused it.
// A member that refuses it with its PUBACK or PUBREC has had it. [MQTT-4.8.2-6]
func (h *Hub) deliverShared(b *transport.Batch, l *Local, g *router.Group[*Client], pub *message.Publication) int {
	n := len(g.Members)
	start := int(g.Next() % uint64(n))
	share := ""
	if pub.QoS > 0 {
		share = g.Name
	}
	ready := (*Client).ready0
	if pub.QoS > 0 {
		ready = (*Client).ready
	}
	dropped := l.Stats.Dropped
	l.sharing = true
	defer func() { l.sharing, l.pressing = false, false }()
	for i, pass := range [...]func(*Client) bool{ready, (*Client).Connected, anybody, (*Client).dropsOldest} {
		if i == 1 && pub.QoS > 0 {
			if d := shortest(g.Members, start); d != nil && h.deliver(b, l, d, pub, share) > 0 {
				l.Stats.Dropped = dropped
				return 1
			}
		}
		l.pressing = i == 3
		for i := range n {
			d := &g.Members[(start+i)%n]
			if pass(d.To) && h.deliver(b, l, d, pub, share) > 0 {
				l.Stats.Dropped = dropped
				return 1
			}
		}
	}
	l.Stats.Dropped = dropped
	if now := l.group(pub.Topic, g.Name); now != nil && now != g { // who left before being asked may have a successor
		return h.deliverShared(b, l, now, pub)
	}
	l.Stats.Dropped[NoMember]++
	return 0
}

// group returns the group as it is now; nil if nobody is in it.
func (l *Local) group(topic []byte, name string) *router.Group[*Client] {
	for _, g := range l.cache.Match(topic).Groups() {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// shortest returns the connected member for whom the fewest messages wait, of several
// the first from start on; nil if none is connected.
func shortest(members []router.Delivery[*Client], start int) (best *router.Delivery[*Client]) {
	least := math.MaxInt
	for i := range members {
		d := &members[(start+i)%len(members)]
		if n, ok := d.To.queued(); ok && n < least {
			best, least = d, n
		}
	}
	return best
}

// queued returns how many messages wait for the client; false if it is not connected.
func (c *Client) queued() (n int, connected bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sess == nil {
		return 0, false
	}
	n, _ = c.sess.Waiting()
	return n, true
}

// ready0 reports whether the client can be sent a message of QoS 0 at once.
func (c *Client) ready0() bool {
	l := c.link.Load()
	return l != nil && l.room() > 0
}

// ready reports whether the client can be sent a message of QoS 1 or 2 at once.
func (c *Client) ready() bool {
	if !c.ready0() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sess != nil && c.sess.Open()
}

// anybody: the absent can queue a message, and of those who have connected since they were passed over nobody may be
// missed.
func anybody(*Client) bool { return true }
