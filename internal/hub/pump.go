package hub

import (
	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// Acked handles the client's PUBACK, PUBREC, PUBREL and PUBCOMP, unless the
// connection that they came on has been taken over.
func (c *Client) Acked(b *transport.Batch, ln *Link, t packet.Type, id uint16, code packet.Code) {
	l := local(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link.Load() != ln {
		return
	}
	fx := &l.fx
	fx.Reset()
	switch t {
	case packet.TypePuback:
		c.sess.Puback(id, fx)
	case packet.TypePubrec:
		c.sess.Pubrec(id, code, fx)
	case packet.TypePubrel:
		c.sess.Pubrel(id, fx)
	case packet.TypePubcomp:
		c.sess.Pubcomp(id, fx)
	}
	if len(fx.Out) > 0 {
		l.Stats.PacketsOut++
		ln.owe(c.room(ln), len(fx.Out))
	}
	c.continueWith(b, l, fx)
}

// Drained continues what waited for room in the connection.
func (c *Client) Drained(b *transport.Batch) {
	l := local(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sess != nil {
		c.pump(b, l)
	}
}

func (c *Client) pump(b *transport.Batch, l *Local) {
	l.fx.Reset()
	c.continueWith(b, l, &l.fx)
}

// continueWith sends what waits for the client as far as its window and its
// connection allow, behind what fx holds already. c.mu is held.
func (c *Client) continueWith(b *transport.Batch, l *Local, fx *session.Effects) {
	for c.advance(b, l, fx) {
		fx.Reset()
	}
}

// advance sends what waits in the queue, and then the retained messages whose
// turn it is. It reports whether there may be more to send behind them.
func (c *Client) advance(b *transport.Batch, l *Local, fx *session.Effects) (more bool) {
	ln := c.link.Load()
	full := false
	c.doubt(fx)
	c.holdBehindReplay()
	for ln != nil {
		if c.sess.Pending() {
			room := c.room(ln) - len(fx.Out)
			full = room <= 0
			c.sess.Pump(room, b.Now, fx)
			if fx.Refill > 0 && c.refill(fx) {
				continue
			}
			if fx.Due > 0 {
				c.hub.timers.Schedule(&c.timer, c, fx.Due)
			}
		}
		break
	}
	c.dropped(l, Expired, fx.Expired)
	c.dropped(l, TooLarge, fx.TooBig)
	c.dropped(l, NotAllowed, fx.Refused)
	l.Stats.BytesOut += int64(len(fx.Out))
	l.Stats.PacketsOut += int64(fx.Sent)
	l.Stats.PublishOut += int64(fx.Sent)
	l.Stats.PublishOutB += int64(fx.Payload)
	t, err := c.commit(l, fx)
	if err != nil {
		c.hub.log.Error("store a client's progress", "client", c.ID, "err", err)
		if ln != nil {
			ln.Conn.Close(err)
		}
		return false
	}
	c.emit(b, t, fx.Out, 0)
	if ln == nil {
		return false
	}
	if n := c.replays.len(); n > 0 {
		full = c.replayRetained(b, l, ln) || full
		if c.replays.len() < n {
			return true
		}
	}
	if c.sess.Pending() || c.replays.len() > 0 {
		if full || c.room(ln) <= 0 { // full: there may be room by now, with nobody to tell
			c.wantDrain(ln)
		}
	} else {
		c.sess.Rest()
	}
	return false
}

// doubt has what waits asked about again, once, when Access has changed since it was let into the queue. c.mu is held.
func (c *Client) doubt(fx *session.Effects) {
	fx.Guard = nil
	if c.sess == nil {
		return
	}
	if now := c.hub.asked.Load(); now != c.asked {
		c.asked = now
		c.sess.Doubt()
	}
	if c.sess.Doubted() {
		fx.Guard = (*guard)(c)
	}
}

// guard asks Access about messages that waited.
type guard Client

// MaySend is session.Guard.
func (g *guard) MaySend(topic string) bool {
	c := (*Client)(g)
	a := c.hub.access()
	return a == nil || a.Receive(c, []byte(topic))
}

// refill loads messages from the store and reports whether there is anything to
// send now.
func (c *Client) refill(fx *session.Effects) bool {
	n := fx.Refill
	fx.Refill = 0
	list, err := c.hub.store.Queue(nil, c.durable, store.Seq(c.sess.Cursor()), n)
	if err != nil {
		c.hub.log.Error("read a client's queue", "client", c.ID, "err", err)
		return false
	}
	entries := make([]session.Entry, len(list))
	for i := range list {
		entries[i] = entry(&list[i])
	}
	c.sess.Loaded(entries, len(list) == n)
	return c.sess.Pending()
}

func entry(e *store.Entry) session.Entry {
	return session.Entry{
		Message: e.Message, IDs: e.IDs, Seq: uint64(e.Seq),
		PacketID: e.PacketID, QoS: e.QoS, Retain: e.Retain, Share: e.Share,
	}
}

// commit submits the changes of fx and returns the ticket that its output hangs
// on.
func (c *Client) commit(l *Local, fx *session.Effects) (store.Ticket, error) {
	if len(fx.Changes) == 0 {
		return 0, nil
	}
	recs := l.changes.records(c.durable, fx.Changes)
	if len(fx.Out) == 0 {
		return c.hub.store.SubmitLater(recs...)
	}
	return c.hub.store.Submit(recs...)
}

// changes holds the records that changes become; the memory is used again.
type changes struct {
	recs     []store.Record
	sent     []store.Sent
	received []store.Received
	done     []store.Done
	released []store.Released
}

// records translates changes of one session. The result is valid until the next
// call.
func (cs *changes) records(id store.SessionID, list []session.Change) []store.Record {
	cs.recs = cs.recs[:0]
	cs.sent, cs.received = grown(cs.sent, len(list)), grown(cs.received, len(list))
	cs.done, cs.released = grown(cs.done, len(list)), grown(cs.released, len(list))
	for i, c := range list {
		seq := store.Seq(c.Seq)
		switch c.Kind {
		case session.Sent:
			cs.sent[i] = store.Sent{Session: id, Seq: seq, PacketID: c.PacketID}
			cs.recs = append(cs.recs, &cs.sent[i])
		case session.Received:
			cs.received[i] = store.Received{Session: id, Seq: seq, PacketID: c.PacketID}
			cs.recs = append(cs.recs, &cs.received[i])
		case session.Done:
			cs.done[i] = store.Done{Session: id, Seq: seq}
			cs.recs = append(cs.recs, &cs.done[i])
		case session.Released:
			cs.released[i] = store.Released{Session: id, PacketID: c.PacketID}
			cs.recs = append(cs.recs, &cs.released[i])
		}
	}
	return cs.recs
}

func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, 2*n)
	}
	return s[:n]
}
