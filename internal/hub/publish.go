package hub

import (
	"fmt"
	"slices"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/router"
	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

type sessionEffects = session.Effects

// pending is a message in a durable session's window that leaves when the
// record that holds it has been submitted.
type pending struct {
	client *Client
	epoch  uint32
	to     store.Recipient
	rec    int // which record of the submission
}

// Publish routes a message: it updates the retained message, finds who
// receives it, stores it for durable sessions and sends it to everybody else.
// from is the publisher, nil for the broker itself. incoming is the QoS 2
// identifier to open with it, or 0.
//
// The code is what an acknowledgement says; it may be sent when the ticket is
// durable. With an error nothing durable has been done.
func (h *Hub) Publish(b *transport.Batch, from *Client, pub *message.Publication, incoming uint16) (packet.Code, store.Ticket, error) {
	l := local(b)
	if from != nil && !h.mayPublish(from, pub) {
		l.Stats.Denied++
		l.reason = "not allowed to publish to this topic"
		return packet.NotAuthorized, 0, nil // 3.1.1 gets its acknowledgement [3.1.1: MQTT-3.3.5-2]
	}
	if most := h.limits.Load().MaxPayload; from != nil && most > 0 && len(pub.Payload) > most {
		l.Stats.Dropped[TooLarge]++
		l.reason = fmt.Sprintf("the payload is longer than %d bytes", most)
		return packet.QuotaExceeded, 0, nil
	}
	if from != nil && from.durable != 0 && incoming != 0 { // once it is delivered, the identifier must be known [MQTT-4.3.3-10]
		if err := h.store.Refusal(); err != nil {
			return refusal(err), 0, l.unstored(pub, err)
		}
	}
	if from != nil && h.isCommand(pub.Topic) {
		return h.command(b, l, from, pub, incoming)
	}
	if pub.Retain { // [MQTT-3.3.1-8]
		return h.publishRetained(b, l, from, pub, incoming)
	}
	return h.distribute(b, l, from, pub, incoming)
}

// command gives the message to the broker itself. Of a command that is refused
// nothing is stored: the answer closes its identifier. [MQTT-4.3.3-9]
func (h *Hub) command(b *transport.Batch, l *Local, from *Client, pub *message.Publication, incoming uint16) (packet.Code, store.Ticket, error) {
	code := h.cfg.Command(from, pub.Topic, pub.Payload)
	if code >= packet.UnspecifiedError {
		return code, 0, nil
	}
	l.begin()
	t, err := h.submit(b, l, from, pub, incoming)
	if err != nil {
		return refusal(err), 0, l.unstored(pub, err)
	}
	return code, t, nil
}

// distribute finds who receives the message and gives it to them.
// [MQTT-3.3.2-3] [MQTT-4.5.0-1] [MQTT-4.6.0-5]
func (h *Hub) distribute(b *transport.Batch, l *Local, from *Client, pub *message.Publication, incoming uint16) (packet.Code, store.Ticket, error) {
	l.begin()
	route := l.cache.Match(pub.Topic)
	n := 0
	for i := range route.Subs {
		if d := &route.Subs[i]; d.Reaches(from) { // [MQTT-3.8.3-3]
			n += h.deliver(b, l, d, pub, "")
		}
	}
	for _, g := range route.Groups() {
		n += h.deliverShared(b, l, g, pub)
	}
	t, err := h.submit(b, l, from, pub, incoming)
	if err != nil {
		return refusal(err), 0, l.unstored(pub, err)
	}
	if n == 0 && len(route.Subs)+len(route.Groups()) == 0 {
		return packet.NoMatchingSubscribers, t, nil
	}
	return packet.Success, t, nil
}

// begin empties what the last message has left.
func (l *Local) begin() {
	l.to, l.again, l.pending = l.to[:0], l.again[:0], l.pending[:0]
	l.sought, l.known, l.moved = 0, nil, store.Done{}
}

// submit stores what concerns durable state in one piece, and then lets the
// copies for connected durable sessions leave behind it.
func (h *Hub) submit(b *transport.Batch, l *Local, from *Client, pub *message.Publication, incoming uint16) (store.Ticket, error) {
	keep := pub.Retain && !ownTopic(pub.Topic) // the broker's own are made anew at each start
	open := from != nil && from.durable != 0 && incoming != 0
	if len(l.to) == 0 && !keep && !open && l.moved.Seq == 0 {
		return 0, nil
	}
	recs := l.publishedRecords(pub)
	first := recs[0].(*store.Published)
	first.Retain = keep
	if open {
		first.From, first.FromID = from.durable, incoming
	}
	t, err := h.store.Submit(recs...)
	for i := range l.pending {
		p := &l.pending[i]
		if err != nil {
			p.client.withdraw(p, pub.Size())
			continue
		}
		if seq := recs[p.rec].(*store.Published).Seq; !p.client.transmit(b, l, p, pub, t, uint64(seq)) {
			h.passUnsent(p, pub, seq)
		}
	}
	return t, err
}

// publishedRecords makes the records of the message: one for all recipients, one
// more for each second copy, and the end of the delivery, or of the will, that it
// takes the place of.
func (l *Local) publishedRecords(pub *message.Publication) []store.Record {
	m := pub.Keep()
	l.published = store.Published{Message: m, To: l.to}
	l.recs = append(l.recs[:0], &l.published)
	for i := range l.again {
		l.recs = append(l.recs, &store.Published{Message: m, To: l.again[i : i+1]})
	}
	if l.moved.Seq != 0 {
		l.recs = append(l.recs, &l.moved)
	}
	if l.taken != nil {
		l.recs = append(l.recs, l.taken)
		l.taken = nil
	}
	return l.recs
}

// addRecipient notes a durable session that the message is stored for, and
// returns the record that it belongs to. A session is in a record once: the copy
// of a shared subscription beside one of its own has a record to itself.
// [MQTT-3.3.4-5]
func (l *Local) addRecipient(r store.Recipient, share string) (rec int) {
	if share != "" && l.has(r.Session) {
		l.again = append(l.again, r)
		return len(l.again)
	}
	l.to = append(l.to, r)
	if l.known != nil {
		l.known[r.Session] = true
	}
	return 0
}

// fewSought is how often the recipients of one message are searched one by one:
// with many shared subscriptions of one topic that would be quadratic.
const fewSought = 16

// has reports whether the session is a recipient of the message.
func (l *Local) has(id store.SessionID) bool {
	if l.known == nil {
		if l.sought++; l.sought <= fewSought {
			return slices.ContainsFunc(l.to, func(o store.Recipient) bool { return o.Session == id })
		}
		l.known = make(map[store.SessionID]bool, 2*len(l.to))
		for i := range l.to {
			l.known[l.to[i].Session] = true
		}
	}
	return l.known[id]
}

// deliver gives one copy to one client and returns 1 if it took it.
func (h *Hub) deliver(b *transport.Batch, l *Local, d *router.Delivery[*Client], pub *message.Publication, share string) int {
	if a := h.access(); a != nil && !a.Receive(d.To, pub.Topic) {
		d.To.dropped(l, NotAllowed, 1)
		return 0
	}
	retain := pub.Retain && d.RetainAsPublished // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
	qos := min(pub.QoS, d.QoS)                  // [MQTT-3.8.4-8]
	lim := h.limits.Load()
	if lim.UpgradeQoS {
		qos = d.QoS
	}
	if qos == 0 && (!lim.QueueQoS0 || d.To.Connected()) {
		return h.deliver0(b, l, d, pub, retain)
	}
	return d.To.deliver(b, l, &session.Entry{QoS: qos, Retain: retain, IDs: d.IDs(), Share: share}, pub)
}

// deliver0 sends a message of QoS 0 to a client that is connected. It takes no
// lock but the connection's, unless the client takes Topic Aliases.
// [MQTT-4.3.1-1] [MQTT-4.6.0-5]
func (h *Hub) deliver0(b *transport.Batch, l *Local, d *router.Delivery[*Client], pub *message.Publication, retain bool) int {
	ln := d.To.link.Load()
	if ln == nil || !ln.is(greeted) {
		return 0
	}
	var frame []byte
	switch {
	case ln.Aliases:
		return d.To.deliver0Alias(b, l, ln, d, pub, retain)
	case len(d.IDs()) > 0 && ln.Version >= packet.V5, ln.Mount != "":
		l.scratch = pub.Append(l.scratch[:0], &message.Copy{Version: ln.Version, Retain: retain, IDs: d.IDs(), Mount: ln.Mount})
		frame = l.scratch
	default:
		frame = pub.Frame(ln.Version, 0, retain)
	}
	return l.send0(b, ln, frame, len(pub.Payload))
}

func (l *Local) send0(b *transport.Batch, ln *Link, frame []byte, payload int) int {
	if !ln.fits(len(frame)) { // [MQTT-3.1.2-25]
		ln.Client.dropped(l, TooLarge, 1)
		return 0
	}
	if !ln.Conn.Send(b, frame) {
		ln.Client.dropped(l, SlowReceiver, 1)
		return 0
	}
	if l.Tracing {
		ln.Client.hub.Trace("Sending", ln.Client.ID, ln.Version, frame)
	}
	l.sent(len(frame), payload)
	return 1
}

func (l *Local) sent(frame, payload int) {
	l.Stats.PublishOut++
	l.Stats.PublishOutB += int64(payload)
	l.Stats.PacketsOut++
	l.Stats.BytesOut += int64(frame)
}

// deliver0Alias is deliver0 for a client that takes Topic Aliases: what an alias
// means depends on the order of the packets, so the client's lock is held.
func (c *Client) deliver0Alias(b *transport.Batch, l *Local, ln *Link, d *router.Delivery[*Client], pub *message.Publication, retain bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sess == nil || c.link.Load() != ln {
		return 0
	}
	k := message.Copy{Version: ln.Version, Retain: retain, IDs: d.IDs(), Mount: ln.Mount}
	// An alias must not be lost with a dropped packet, nor be used before a packet
	// that sets it and waits for the disk.
	if c.held == nil && (ln.Conn.Buffered() == 0 || ln.room() > pub.Size()) {
		c.appendAliased(l, ln, pub, &k)
	} else {
		l.scratch = pub.Append(l.scratch[:0], &k)
	}
	n := l.send0(b, ln, l.scratch, len(pub.Payload))
	if n == 0 && k.Alias != 0 && !k.NoTopic {
		c.sess.Unalias(string(pub.Topic))
	}
	return n
}

// appendAliased writes the copy k of pub to l.scratch, with a Topic Alias if there
// is one and the packet fits with it. [MQTT-3.1.2-24] [MQTT-3.1.2-25]
func (c *Client) appendAliased(l *Local, ln *Link, pub *message.Publication, k *message.Copy) {
	topic := string(pub.Topic)
	k.Alias, k.NoTopic = c.sess.Alias(topic)
	l.scratch = pub.Append(l.scratch[:0], k)
	if k.Alias == 0 || ln.fits(len(l.scratch)) {
		return
	}
	if !k.NoTopic {
		c.sess.Unalias(topic)
	}
	k.Alias, k.NoTopic = 0, false
	l.scratch = pub.Append(l.scratch[:0], k)
}

// deliver gives a message of QoS 1 or 2 to the client: to its connection if its
// window is open and nothing waits before it, else to its queue.
func (c *Client) deliver(b *transport.Batch, l *Local, e *session.Entry, pub *message.Publication) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return 0
	}
	ln := c.link.Load()
	if ln == nil || c.sess == nil {
		return c.enqueueAbsent(l, e, pub)
	}
	size := pub.Size()
	if (ln.MaxPacket != 0 && size+maxSubscriptionID*len(e.IDs) > ln.MaxPacket || ln.Mount != "") && c.tooLarge(l, ln, e, pub) {
		return 0
	}
	if e.QoS == 0 { // the client has come since
		return 0
	}
	e.Message = pub.Keep()
	room := c.room(ln) > 0 && (c.durable != 0 || c.replays.len() == 0) // [MQTT-4.6.0-5]
	lim, ids := c.hub.limits.Load().queue(c.ID), e.IDs
	lim.stamp(e, pub.Now)
	id, v := c.sess.Offer(e, room)
	for v == session.QueueFull && c.dropOldest(l) {
		id, v = c.sess.Offer(e, room)
	}
	switch v {
	case session.QueueFull:
		c.dropped(l, QueueFull, 1)
		return 0
	case session.Store:
		l.addPending(c, e, 0)
	case session.Transmit:
		e.IDs = ids
		if c.durable != 0 {
			l.addPending(c, e, id)
			return 1
		}
		c.emit(b, 0, c.frame(l, ln, e, pub, id), 0)
	case session.Queued:
		c.wantDrain(ln)
	}
	return 1
}

// maxSubscriptionID is how many bytes a Subscription Identifier may take in a
// packet; message.Size counts none.
const maxSubscriptionID = 5

// wantDrain makes sure that the queue is looked at again when it waits for room.
// If output that waits for the disk takes the room, its release looks again.
func (c *Client) wantDrain(ln *Link) {
	if c.held == nil {
		ln.Conn.WantDrain()
	}
}

// tooLarge reports whether the packet exceeds what the client accepts.
func (c *Client) tooLarge(l *Local, ln *Link, e *session.Entry, pub *message.Publication) bool {
	l.scratch = pub.Append(l.scratch[:0], &message.Copy{Version: ln.Version, QoS: e.QoS, Retain: e.Retain, IDs: e.IDs, Mount: ln.Mount})
	if ln.fits(len(l.scratch)) {
		return false
	}
	c.dropped(l, TooLarge, 1)
	return true
}

// enqueueAbsent adds the message to what waits in the store. c.mu is held.
func (c *Client) enqueueAbsent(l *Local, e *session.Entry, pub *message.Publication) int {
	if c.durable == 0 {
		return 0
	}
	lim, size := c.hub.limits.Load().queue(c.ID), pub.Size()
	for lim.full(c.waiting, c.bytes, size) {
		if !c.dropOldest(l) {
			c.dropped(l, QueueFull, 1)
			return 0
		}
	}
	c.waiting++
	c.bytes += size
	lim.stamp(e, pub.Now)
	l.addPending(c, e, 0) // the client may connect before it is stored
	return 1
}

// addPending notes a durable session whose copy waits for its record. c.mu is held.
func (l *Local) addPending(c *Client, e *session.Entry, id uint16) {
	c.pending++
	c.shares = c.shares || e.Share != ""
	r := c.recipient(e, id)
	l.pending = append(l.pending, pending{client: c, epoch: c.epoch, to: r, rec: l.addRecipient(r, e.Share)})
}

func (c *Client) recipient(e *session.Entry, id uint16) store.Recipient {
	return store.Recipient{Session: c.durable, Epoch: c.epoch, PacketID: id, QoS: e.QoS, Retain: e.Retain, IDs: e.IDs, Share: e.Share}
}

// frame encodes the message for the client, shared with other receivers if
// nothing in it is the client's own but the packet identifier, 0 with QoS 0.
func (c *Client) frame(l *Local, ln *Link, e *session.Entry, pub *message.Publication, id uint16) []byte {
	var f []byte
	switch {
	case ln.Version >= packet.V5 && (len(e.IDs) > 0 || ln.Aliases), ln.Mount != "":
		k := message.Copy{Version: ln.Version, QoS: e.QoS, Retain: e.Retain, PacketID: id, IDs: e.IDs, Mount: ln.Mount}
		c.appendAliased(l, ln, pub, &k)
		f = l.scratch
	case e.QoS == 0:
		f = pub.Frame(ln.Version, 0, e.Retain)
	default:
		f = pub.FrameID(ln.Version, e.QoS, e.Retain, id)
	}
	l.sent(len(f), len(pub.Payload))
	return f
}

// transmit sends a message that is in the window of a durable session, once it
// is durable; or sees whether one that went to the store can be sent already. It
// reports false if the session has ended, and nobody else will give the message to
// another member of its group.
func (c *Client) transmit(b *transport.Batch, l *Local, p *pending, pub *message.Publication, t store.Ticket, seq uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending--
	id := p.to.PacketID
	if id == 0 || c.epoch != p.epoch {
		c.noteExpiry(pub.Expires, b.Now)
	}
	ln := c.link.Load()
	if ln == nil || c.sess == nil { // it waits in the store; remains takes what has an identifier for sent
		return !c.ended || p.to.Share == "" || id == 0 || p.to.QoS == 1
	}
	if c.epoch != p.epoch || id == 0 {
		if c.epoch != p.epoch {
			c.sess.Missed(pub.Size())
		} else {
			c.sess.Filed()
		}
		c.pump(b, l)
		return true
	}
	c.sess.Stored(id, seq)
	e := session.Entry{QoS: p.to.QoS, Retain: p.to.Retain, IDs: p.to.IDs}
	c.emit(b, t, c.frame(l, ln, &e, pub, id), 0)
	return true
}

// withdraw undoes an offer whose submission failed.
func (c *Client) withdraw(p *pending, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending--
	switch {
	case c.epoch != p.epoch:
	case c.sess != nil:
		c.sess.Withdraw(p.to.PacketID, size)
	case p.to.PacketID == 0:
		c.waiting--
		c.bytes -= size
	}
}
