package hub

import (
	"slices"

	"github.com/nightjarmq/nightjar/internal/message"
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
	c.holdBehindReplay()
	for ln != nil {
		if c.sess.Pending() {
			room := c.room(ln) - len(fx.Out)
			full = room <= 0
			c.sess.Pump(room, b.Now, fx)
			if fx.Refill > 0 && c.refill(fx) {
				continue
			}
		}
		break
	}
	c.dropped(l, Expired, fx.Expired)
	c.dropped(l, TooLarge, fx.TooBig)
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
	if n := len(c.replay); n > 0 {
		full = c.replayRetained(b, l, ln) || full
		if len(c.replay) < n {
			return true
		}
	}
	if c.sess.Pending() || len(c.replay) > 0 {
		if full || c.room(ln) <= 0 { // full: there may be room by now, with nobody to tell
			c.wantDrain(ln)
		}
	}
	return false
}

// refill loads messages from the store and reports whether there were any.
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
	return len(list) > 0
}

func entry(e *store.Entry) session.Entry {
	return session.Entry{
		Message: e.Message, IDs: e.IDs, Seq: uint64(e.Seq),
		PacketID: e.PacketID, QoS: e.QoS, Retain: e.Retain,
	}
}

// commit submits the changes of fx and returns the ticket that its output hangs
// on.
func (c *Client) commit(l *Local, fx *session.Effects) (store.Ticket, error) {
	if len(fx.Changes) == 0 {
		return 0, nil
	}
	return c.hub.store.Submit(l.changes.records(c.durable, fx.Changes)...)
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

// replay is what is left of the retained messages that a new subscription
// brings. A message that was replaced since is left out: its successor was
// delivered as a live message.
//
// The messages are looked up when it is their turn: a client that subscribes
// again and again and does not read costs one list. Those of QoS 1 and 2 come
// behind what waited in the queue when the client subscribed, and before what
// came later. [MQTT-4.6.0-5]
type replay struct {
	behind int // the place in the queue; see session.End
	filter string
	last   uint64 // the messages are those until this number; see router.Retained
	stored bool   // those of QoS 1 and 2 are in the store's queue already
	begun  bool   // list has been made
	list   []*message.Message
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
	if i := slices.IndexFunc(c.replay, func(r replay) bool { return r.inLine() }); i >= 0 {
		c.sess.HoldBehind(c.replay[i].behind)
	}
}

// begin looks the messages up.
func (r *replay) begin(h *Hub) {
	r.begun = true
	h.retained.MatchUntil(r.filter, r.last, func(_ string, m *message.Message) bool {
		if !r.stored || r.level(m) == 0 {
			r.list = append(r.list, m)
		}
		return true
	})
}

// replayRetained sends the retained messages of the first subscription that has
// some while there is room, and reports whether that has ended. c.mu is held.
func (c *Client) replayRetained(b *transport.Batch, l *Local, ln *Link) (full bool) {
	var pub message.Publication
	r := &c.replay[0]
	if c.room(ln) <= 0 {
		return true
	}
	if !r.begun {
		r.begin(c.hub)
	}
	for len(r.list) > 0 {
		m := r.list[0]
		if c.room(ln) <= 0 {
			return true
		}
		if r.level(m) > 0 && !c.sess.CanInsert() {
			return false
		}
		r.list = r.list[1:]
		if now, ok := c.hub.retained.Get(m.Topic); ok && now == m {
			c.sendRetained(b, l, ln, r, &pub, m)
		}
	}
	c.replay[0] = replay{}
	if c.replay = c.replay[1:]; len(c.replay) == 0 {
		c.replay = nil
	}
	return false
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
	qos := r.level(m)
	e := session.Entry{Message: m, IDs: r.ids, QoS: qos, Retain: true}
	k := message.Copy{Version: ln.Version, QoS: qos, Retain: true, IDs: r.ids, Mount: ln.Mount}
	if qos == 0 {
		if c.held == nil { // else the packet that sets the alias may still wait for the disk
			k.Alias, k.NoTopic = c.sess.Alias(m.Topic)
		}
		l.scratch = m.Append(l.scratch[:0], &k, b.Now)
		if l.send0(b, ln, l.scratch, len(m.Payload)) == 0 && k.Alias != 0 && !k.NoTopic {
			c.sess.Unalias(m.Topic)
		}
		return
	}
	if ln.MaxPacket != 0 || ln.Mount != "" {
		l.scratch = m.Append(l.scratch[:0], &k, b.Now)
		if !ln.fits(len(l.scratch)) {
			c.dropped(l, TooLarge, 1)
			return
		}
	}
	pub.SetKept(m, b.Now)
	if id, ok := c.sess.Insert(&e); ok {
		c.emit(b, 0, c.frame(l, ln, &e, pub, id), 0)
	}
}
