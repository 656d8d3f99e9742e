package hub

import (
	"fmt"
	"slices"

	"github.com/nightjarmq/nightjar/internal/ration"
	"github.com/nightjarmq/nightjar/internal/router"
	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/timer"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// departure gathers what the end of connections and sessions leaves to do once
// no lock is held.
type departure struct {
	recs   []store.Record
	due    []*Client  // whose wills are
	shared []stray    // of shared subscriptions, for other members
	former []former   // subscriptions that are in the routes still
	ended  []*remains // of sessions that are in the store until others have what is there for them
}

// Goodbye is how a connection ended.
type Goodbye struct {
	Normal bool               // DISCONNECT with code 0: the will is discarded [MQTT-3.14.4-3]
	Expiry packet.Opt[uint32] // a new Session Expiry Interval in the DISCONNECT
}

// Leave is called when a connection has ended. If its session has another
// connection by now, or has ended, nothing happens.
func (h *Hub) Leave(b *transport.Batch, l *Link, g Goodbye) {
	c := l.Client
	var leave departure
	s := h.shard(c.ID)
	s.mu.Lock()
	c.mu.Lock()
	if c.link.Load() != l {
		c.mu.Unlock()
		s.mu.Unlock()
		return
	}
	h.detachFor(c, g, b.Now, &leave)
	if c.ended {
		h.forget(s, c)
	}
	h.storeDeparture(&leave)
	c.mu.Unlock()
	s.mu.Unlock()
	h.depart(b, &leave)
}

// detachFor ends the connection and decides about will and session. Both locks
// are held.
func (h *Hub) detachFor(c *Client, g Goodbye, now int64, leave *departure) {
	if g.Normal {
		c.will = nil
	}
	if g.Expiry.Set {
		c.expiry = g.Expiry.Value
	}
	if c.durable == 0 || c.expiry == 0 { // [MQTT-4.1.0-2]
		h.end(c, leave)
		return
	}
	h.detach(c)
	leave.recs = append(leave.recs, &store.SessionClosed{
		Session: c.durable, Expiry: c.expiry, KeepWill: c.will != nil, Time: now,
	})
	if c.will != nil && c.will.Delay == 0 { // [MQTT-3.1.2-8]
		c.fallDue(leave)
	}
	c.await(now)
}

// fallDue has the will published. c.mu is held.
func (c *Client) fallDue(leave *departure) {
	c.due, c.willAt = true, 0
	leave.due = append(leave.due, c)
}

// await schedules the end of an absent session and its will. c.mu is held, or c
// is not known to others yet.
func (c *Client) await(closed int64) {
	c.endAt, c.willAt = 0, 0
	if c.expiry != NeverExpires {
		c.endAt = closed + int64(c.expiry)*1000
	}
	if c.will != nil && !c.due { // [MQTT-3.1.3-9]
		c.willAt = closed + int64(c.will.Delay)*1000
		if c.endAt != 0 {
			c.willAt = min(c.willAt, c.endAt)
		}
	}
	if x := c.expiring; x != nil {
		x.from, x.at = 0, roundFor(x.soonest, c.hub.cfg.Now())
	}
	if at := c.nextDeadline(); at != 0 {
		c.hub.timers.Schedule(&c.timer, c, at)
	}
}

// nextDeadline is when Expire has something to do for an absent client; 0: never.
func (c *Client) nextDeadline() int64 {
	next := c.endAt
	if c.willAt != 0 {
		next = c.willAt
	}
	if c.expiring != nil {
		next = sooner(next, c.expiring.at)
	}
	return next
}

// Expire publishes a will that is due, ends a session whose time is over, and drops
// messages whose time is. A client that is connected is sent what had to wait for now.
func (c *Client) Expire(now int64) (next int64) {
	h := c.hub
	var leave departure
	expired := 0
	s := h.shard(c.ID)
	s.mu.Lock()
	c.mu.Lock()
	if c.ended || c.link.Load() != nil {
		ended := c.ended
		c.mu.Unlock()
		s.mu.Unlock()
		if !ended {
			h.with(c.Drained)
		}
		return 0
	}
	switch {
	case c.due:
		next = now + timer.Tick
	case c.endAt != 0 && now >= c.endAt:
		h.end(c, &leave)
		h.expired.Add(1)
		h.forget(s, c)
	default:
		if c.willAt != 0 && now >= c.willAt {
			c.fallDue(&leave)
		}
		if x := c.expiring; x != nil && now >= x.at {
			expired = c.dropExpired(now)
		}
		next = c.nextDeadline()
	}
	h.storeDeparture(&leave)
	c.mu.Unlock()
	s.mu.Unlock()
	h.with(func(b *transport.Batch) {
		c.dropped(local(b), Expired, expired)
		h.depart(b, &leave)
	})
	return next
}

// forget takes the client out of the registry. The shard's lock is held.
func (h *Hub) forget(s *shard, c *Client) {
	delete(s.clients, c.ID)
	h.count(c.User, -1)
}

// end ends the session, and has its will published. [MQTT-3.1.2-8] Both locks are held;
// the caller takes the client out of the registry.
// Retained messages are not its own. [3.1.1: MQTT-3.1.2-7]
func (h *Hub) end(c *Client, leave *departure) {
	c.ended = true
	member := c.shares || slices.ContainsFunc(c.subs.list, func(s subscription) bool { return s.filter.Share != "" })
	if f := (former{client: c, list: c.subs.list}); f.unsubscribe() {
		leave.former = append(leave.former, f)
	}
	c.subs = subscriptions{}
	if c.sess != nil {
		c.sess.Unfinished(func(e *session.Entry) bool {
			switch {
			case e.Share == "":
			case c.durable != 0: // it is in the store, or will be; see remains
				member = true
			case e.Message != nil && passes(e):
				leave.shared = append(leave.shared, stray{Entry: *e})
			}
			return true
		})
		h.detach(c)
	}
	switch {
	case c.durable == 0:
		if c.will != nil {
			c.fallDue(leave)
		}
	case member || c.will != nil:
		leave.ended = append(leave.ended, &remains{hub: h, client: c, session: c.durable, will: c.will})
		leave.recs = append(leave.recs, &store.SessionClosed{Session: c.durable, KeepWill: c.will != nil, Time: h.cfg.Now()})
	default:
		leave.recs = append(leave.recs, &store.SessionRemoved{Session: c.durable})
	}
	h.timers.Stop(&c.timer)
}

// storeDeparture submits what the end means for durable state. The client's
// lock is held, or no connection can have the session any more, so that no record of
// its next connection comes before.
func (h *Hub) storeDeparture(leave *departure) {
	if len(leave.recs) == 0 {
		return
	}
	err := h.owed.settle()
	if err == nil {
		_, err = h.store.Submit(leave.recs...)
	}
	if err != nil {
		h.log.Error("store the end of a connection", "err", err)
		h.owe(leave.recs...)
	}
	leave.recs = nil
}

// depart does what is left when no lock is held.
func (h *Hub) depart(b *transport.Batch, leave *departure) {
	for i := range leave.former {
		f := &leave.former[i]
		h.timers.Schedule(&f.timer, f, b.Now+timer.Tick)
	}
	for _, c := range leave.due {
		c.mu.Lock()
		_ = h.publishDue(b, c) // it is tried again
		c.mu.Unlock()
	}
	h.passOnOrKeep(b, leave.shared...)
	for _, r := range leave.ended {
		if next := r.pass(b); next != 0 {
			h.timers.Schedule(&r.timer, r, next)
		}
	}
}

// publishDue publishes the will of a client that has no connection. c.mu is held, but
// not meanwhile: c.due keeps others from the will. With an error it waits in the
// store, and is due later. [MQTT-3.1.2-10]
func (h *Hub) publishDue(b *transport.Batch, c *Client) error {
	var taken *store.WillTaken
	if c.durable != 0 {
		taken = &store.WillTaken{Session: c.durable}
	}
	will := c.will
	c.mu.Unlock()
	err := h.publishWill(b, c, will, taken)
	c.mu.Lock()
	c.due = false
	if err != nil {
		c.willAt = b.Now
		h.timers.Schedule(&c.timer, c, b.Now+remainsRetry)
		return fmt.Errorf("publish the will of %q: %w", c.ID, unopened(err))
	}
	c.will, c.willAt = nil, 0
	return nil
}

// publishWill publishes a will of the client. taken takes it out of the store, and goes
// there in one piece with the message: a crash between the two would lose or repeat it.
// It is nil for a will that is not in the store.
//
// With an error the store takes nothing at present, and nobody has got the will. It is
// none if nobody would wait for the store: a will of QoS 0 is published to whom it can
// be, and one that is not in the store too. [MQTT-3.1.2-8]
func (h *Hub) publishWill(b *transport.Batch, c *Client, w *store.Will, taken *store.WillTaken) error {
	waits := taken != nil && w.Message.QoS > 0
	if waits {
		if err := h.store.Refusal(); err != nil {
			return err
		}
	}
	l := local(b)
	l.Pub.SetKept(w.Message, b.Now)
	if w.Expiry.Set {
		m := *w.Message
		m.Expires = b.Now + int64(w.Expiry.Value)*1000
		l.Pub.SetKept(&m, b.Now)
	}
	l.taken = taken
	code, _, err := h.Publish(b, c, &l.Pub, 0)
	if l.taken != nil && err == nil { // nothing that hangs on the message was stored
		_, err = h.store.Submit(l.taken)
	}
	l.taken = nil
	switch {
	case err != nil && waits:
		return err
	case err != nil:
		if taken != nil {
			h.owe(taken)
		}
		h.log.Error("publish a will", "client", c.ID, "topic", w.Message.Topic, "err", err)
	case code >= packet.UnspecifiedError:
		h.warn(c.ID, "a will was refused", "topic", ration.Cut(w.Message.Topic), "reason", code.String())
	}
	return nil
}

func (c *Client) restoreSubscription(s store.Subscription) {
	f, err := topic.ParseFilterDepth(s.Filter, c.hub.cfg.MaxLevels)
	if err != nil {
		c.hub.log.Error("a stored subscription is not valid any more", "client", c.ID, "filter", s.Filter, "err", err)
		return
	}
	c.subscribe(subscription{
		filter: f,
		options: router.Options{
			QoS: s.Options.QoS, NoLocal: s.Options.NoLocal, RetainAsPublished: s.Options.RetainAsPublished, ID: s.ID,
		},
		retain: s.Options.RetainHandling,
	})
}
