package hub

import (
	"errors"
	"slices"

	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// Recheck is called when Access may decide otherwise than before. It asks about
// every subscription and removes those that are no longer allowed. Whose they were
// is disconnected, so that the client subscribes again and hears the refusal. What
// waits in queues is asked about when it is sent.
func (h *Hub) Recheck(b *transport.Batch) {
	h.asked.Add(1)
	if h.access() == nil {
		return
	}
	l := local(b)
	h.Clients(func(c *Client) bool {
		c.mu.Lock()
		removed := c.recheck(l)
		ln := c.link.Load()
		c.mu.Unlock()
		if removed && ln != nil {
			ln.Kick(b, packet.NotAuthorized, "", errNotAllowed) // [MQTT-3.14.0-1]
		}
		return true
	})
}

var errNotAllowed = errors.New("a subscription is no longer allowed")

// recheck removes subscriptions that are no longer allowed and reports whether
// there were any. c.mu is held.
func (c *Client) recheck(l *Local) bool {
	a := c.hub.access()
	if a == nil || c.ended {
		return false
	}
	var recs []store.Record
	removed := false
	for _, s := range slices.Clone(c.subs.list) {
		if a.Subscribe(c, s.filter, s.options.QoS) {
			continue
		}
		removed = true
		l.Stats.Denied++
		c.subs.remove(s.filter)
		c.unrouted(s.filter)
		if c.durable != 0 {
			recs = append(recs, &store.Unsubscribed{Session: c.durable, Filter: s.filter.String()})
		}
	}
	if len(recs) > 0 {
		if _, err := c.hub.store.Submit(recs...); err != nil {
			c.hub.log.Error("store that subscriptions are no longer allowed", "client", c.ID, "err", err)
		}
	}
	return removed
}
