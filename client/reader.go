package client

import (
	"context"
	"errors"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// reader is what only the reading goroutine uses.
type reader struct {
	pub     packet.Publish    // decoded into again and again
	open    int               // QoS 2 messages of this connection that await their PUBREL
	aliases map[uint16][]byte // inbound topic aliases [MQTT-3.3.2-7]
	held    *delivery         // the message at hand, once a handler called Hold
}

// readLoop handles packets until the connection fails or the server breaks the protocol.
func (c *Client) readLoop(ctx context.Context) error {
	for {
		h, body, err := c.in.next()
		if err != nil {
			return err
		}
		select {
		case <-c.stop: // our DISCONNECT is on its way, the rest is for nobody
			continue
		default:
		}
		if err := c.handle(ctx, h, body); err != nil {
			return err
		}
	}
}

func (c *Client) handle(ctx context.Context, h packet.Header, body []byte) error {
	switch h.Type {
	case packet.TypePublish:
		return c.onPublish(ctx, h.Flags, body)
	case packet.TypePuback, packet.TypePubrec, packet.TypePubrel, packet.TypePubcomp:
		return c.onAckBytes(h, body)
	}
	p, err := packet.Decode(h, body, c.v)
	if err != nil {
		return err
	}
	if c.opt.Trace != nil {
		c.mu.Lock()
		c.opt.Trace(false, p)
		c.mu.Unlock()
	}
	switch p := p.(type) {
	case *packet.Suback:
		return c.onControl(p.PacketID, p)
	case *packet.Unsuback:
		return c.onControl(p.PacketID, p)
	case *packet.Pingresp:
		return nil
	case *packet.Auth:
		return c.onAuth(ctx, p)
	case *packet.Disconnect:
		if c.v >= packet.V5 {
			return &Error{Op: "disconnected by server", Code: p.Code, Reason: p.ReasonString.Or(""),
				ServerReference: p.ServerReference.Or("")}
		}
	}
	return violation(packet.ProtocolError, "4.13.1", "a server does not send "+h.Type.String())
}

// onPublish hands a message over and acknowledges it afterwards. Since one goroutine does it all, acknowledgements leave
// in the order of the messages [MQTT-4.6.0-2], [MQTT-4.6.0-3].
// A message that no handler wants is acknowledged too. [MQTT-3.3.4-1] [MQTT-4.5.0-2]
func (c *Client) onPublish(ctx context.Context, flags byte, body []byte) error {
	p := &c.reader.pub
	if err := p.Decode(flags, body, c.v); err != nil {
		return err
	}
	if c.opt.Trace != nil {
		c.mu.Lock()
		c.opt.Trace(false, p)
		c.mu.Unlock()
	}
	if err := c.resolveAlias(p); err != nil {
		return err
	}
	if err := topic.ValidateNameDepth(p.Topic, topic.MaxLength); err != nil { // [MQTT-3.3.2-2]
		return violation(packet.TopicNameInvalid, "MQTT-3.3.2-2", "topic name invalid")
	}
	switch p.QoS {
	case 0:
		c.deliver(ctx, p)
		return nil
	case 1:
		if err := c.checkQuota(); err != nil {
			return err
		}
		c.setHandling()
		c.acknowledge(packet.TypePuback, p.PacketID, c.deliver(ctx, p)) // [MQTT-4.3.2-4] [MQTT-4.3.2-5]
		return nil
	}
	return c.onPublish2(ctx, p)
}

// onPublish2 hands a QoS 2 message over unless it was before [MQTT-4.3.3-10].
func (c *Client) onPublish2(ctx context.Context, p *packet.Publish) error {
	s := c.session
	c.mu.Lock()
	d, again := s.received[p.PacketID]
	c.mu.Unlock()
	if again {
		d.adopt(c)
	} else {
		if err := c.checkQuota(); err != nil {
			return err
		}
		c.reader.open++
		c.setHandling()
		d = c.deliver(ctx, p)
		c.mu.Lock()
		if s.received == nil {
			s.received = make(map[uint16]*delivery)
		}
		s.received[p.PacketID] = d
		c.mu.Unlock()
	}
	if !d.open() { // also when it comes again, because that may be for want of a record
		if err := s.recordReceived(s.life, p.PacketID); err != nil {
			return err
		}
	}
	c.acknowledge(packet.TypePubrec, p.PacketID, d) // [MQTT-4.3.3-8]
	return nil
}

// deliver calls the handlers. It gives the delivery if one of them holds the message.
func (c *Client) deliver(ctx context.Context, p *packet.Publish) *delivery {
	c.handled.Add(1)
	c.session.deliver(ctx, p, c.opt.Handler)
	c.handled.Add(1)
	d := c.reader.held
	c.reader.held = nil
	return d
}

// setHandling makes Disconnect wait for the acknowledgement that is due.
func (c *Client) setHandling() {
	c.mu.Lock()
	c.handling = true
	c.mu.Unlock()
}

// checkQuota refuses one unacknowledged QoS 2 message too many. Those with QoS 1 are mostly acknowledged before the next is
// read; held ones are not counted, because mosquitto 2.0 sends one or two too many when it works off a queue.
func (c *Client) checkQuota() error {
	if limit := int(c.opt.ReceiveMaximum); c.v >= packet.V5 && limit > 0 && c.reader.open+1 > limit { // [MQTT-3.3.4-9]
		return violation(packet.ReceiveMaximumExceeded, "MQTT-3.3.4-9", "more messages than Receive Maximum")
	}
	return nil
}

// acknowledge sends an acknowledgement as soon as d and the messages before it allow, after waiting while a server that
// does not read lets the buffer grow, and then a DISCONNECT that waited for it. When the connection has ended, the next
// read will say so.
func (c *Client) acknowledge(t packet.Type, id uint16, d *delivery) {
	if err := c.lockToSend(context.Background()); err != nil {
		return
	}
	defer c.mu.Unlock()
	if d == nil && len(c.unacked) == 0 {
		c.sendAck(t, id)
	} else {
		c.unacked = append(c.unacked, unacked{t, id, d})
		c.sendReleased()
	}
	c.handling = false
	if c.goodbye != nil {
		c.send(c.goodbye)
		c.finish(ErrClosed)
	}
}

// resolveAlias replaces a topic alias by the topic it stands for [MQTT-3.3.2-10].
func (c *Client) resolveAlias(p *packet.Publish) error {
	if !p.TopicAlias.Set {
		return nil
	}
	r, a := &c.reader, p.TopicAlias.Value
	if a == 0 || a > c.opt.TopicAliasMaximum { // [MQTT-3.1.2-26]
		return violation(packet.TopicAliasInvalid, "MQTT-3.1.2-26", "topic alias above our maximum")
	}
	if len(p.Topic) == 0 {
		name, ok := r.aliases[a]
		if !ok {
			return violation(packet.ProtocolError, "3.3.2.3.4", "topic alias without a topic")
		}
		p.Topic = name
		return nil
	}
	if r.aliases == nil {
		r.aliases = make(map[uint16][]byte)
	}
	r.aliases[a] = append(r.aliases[a][:0:0], p.Topic...)
	return nil
}

// onAckBytes reads a PUBACK, PUBREC, PUBREL or PUBCOMP, without making a packet when it carries nothing but a number.
func (c *Client) onAckBytes(h packet.Header, body []byte) error {
	if err := h.CheckFlags(c.v); err != nil {
		return err
	}
	var ack packet.Ack
	id, code, ok := packet.ReadAck(body, c.v)
	if ok && id != 0 && c.opt.Trace == nil {
		ack = packet.Ack{PacketID: id, Code: code}
	} else {
		p, err := packet.Decode(h, body, c.v)
		if err != nil {
			return err
		}
		ack = ackOf(p)
		if c.opt.Trace != nil {
			c.mu.Lock()
			c.opt.Trace(false, p)
			c.mu.Unlock()
		}
	}
	if h.Type == packet.TypePubrel {
		return c.onPubrel(ack)
	}
	return c.onAck(h.Type, ack)
}

// onPubrel ends the receiving half of QoS 2 [MQTT-4.3.3-11].
func (c *Client) onPubrel(ack packet.Ack) error {
	if err := c.session.recordReleased(ack.PacketID); err != nil {
		return err
	}
	if err := c.lockToSend(context.Background()); err != nil {
		return nil
	}
	defer c.mu.Unlock()
	if _, known := c.session.received[ack.PacketID]; !known && c.v >= packet.V5 {
		c.send(&packet.Pubcomp{PacketID: ack.PacketID, Code: packet.PacketIdentifierNotFound})
		return nil
	}
	delete(c.session.received, ack.PacketID) // [MQTT-4.3.3-12]
	c.reader.open = max(0, c.reader.open-1)
	c.sendAck(packet.TypePubcomp, ack.PacketID)
	return nil
}

// onAck moves a message of ours one step on.
// Until its last acknowledgement the message is in the session. [MQTT-4.3.2-3] [MQTT-4.3.3-3]
// [MQTT-4.3.3-5]
func (c *Client) onAck(t packet.Type, ack packet.Ack) error {
	if t == packet.TypePubrec && !ack.Code.Failed() && c.session.records != nil {
		if err := c.recordPubrec(ack.PacketID); err != nil {
			return err
		}
	}
	c.mu.Lock()
	o := c.session.out[ack.PacketID]
	if o == nil || o.state == notSent {
		// PUBREC must be answered even so, or the server would keep the number for ever.
		if t == packet.TypePubrec && c.err == nil && !ack.Code.Failed() {
			if c.v >= packet.V5 {
				c.send(&packet.Pubrel{PacketID: ack.PacketID, Code: packet.PacketIdentifierNotFound})
			} else {
				c.sendAck(packet.TypePubrel, ack.PacketID)
			}
		}
		c.mu.Unlock()
		return nil
	}
	if o.qos == 1 != (t == packet.TypePuback) {
		c.mu.Unlock()
		return violation(packet.ProtocolError, "4.3", t.String()+" does not answer a message of that QoS")
	}
	if t == packet.TypePubrec && !ack.Code.Failed() {
		o.state, o.encoded = awaitComp, nil // [MQTT-4.3.3-6]
		if c.err == nil {
			c.sendAck(packet.TypePubrel, o.id) // [MQTT-4.3.3-4], in the order of PUBREC [MQTT-4.6.0-4]
		}
		c.answer()
		c.mu.Unlock()
		return nil
	}
	if t == packet.TypePubcomp && o.state != awaitComp {
		c.mu.Unlock()
		return violation(packet.ProtocolError, "4.3.3", "PUBCOMP before PUBREC")
	}
	done := c.session.remove(o) // [MQTT-4.4.0-2]
	c.release()
	c.answer()
	c.mu.Unlock()
	if done != nil {
		done(ack, ackError(t, ack))
	}
	return nil
}

// recordPubrec makes it durable that the server has taken a message, before it is told to forget the number.
func (c *Client) recordPubrec(id uint16) error {
	c.mu.Lock()
	var q *queued
	if o := c.session.out[id]; o != nil && o.state == awaitAck {
		q = o.queued
	}
	c.mu.Unlock()
	if q == nil {
		return nil
	}
	return c.session.records.pubrec(q)
}

// release gives a place in the quota to the next message that was kept back, or to Publish. The caller holds the lock.
func (c *Client) release() {
	if len(c.backlog) > 0 && c.err == nil {
		c.sendBacklog()
		return
	}
	select {
	case <-c.quota:
	default: // a PUBREL of an earlier connection that found no place
	}
}

// ackError is the error for a publisher. A PUBCOMP that does not know the identifier ends a delivery that had happened.
func ackError(t packet.Type, ack packet.Ack) error {
	if t == packet.TypePubcomp || !ack.Code.Failed() {
		return nil
	}
	return &Error{Op: "publish", Code: ack.Code, Reason: ack.ReasonString.Or("")}
}

// onControl hands SUBACK or UNSUBACK to whoever waits.
func (c *Client) onControl(id uint16, p packet.Packet) error {
	c.mu.Lock()
	w := c.control[id]
	if w != nil && w.want == p.Type() {
		delete(c.control, id)
	}
	c.mu.Unlock()
	switch {
	case w == nil: // given up by its caller
		return nil
	case w.want != p.Type():
		return violation(packet.ProtocolError, "MQTT-2.2.1-6", p.Type().String()+" answers another request")
	}
	w.answer <- p
	return nil
}

func ackPacket(t packet.Type, a packet.Ack) packet.Packet {
	switch t {
	case packet.TypePuback:
		return (*packet.Puback)(&a)
	case packet.TypePubrec:
		return (*packet.Pubrec)(&a)
	case packet.TypePubrel:
		return (*packet.Pubrel)(&a)
	}
	return (*packet.Pubcomp)(&a)
}

func ackOf(p packet.Packet) packet.Ack {
	switch p := p.(type) {
	case *packet.Puback:
		return packet.Ack(*p)
	case *packet.Pubrec:
		return packet.Ack(*p)
	case *packet.Pubrel:
		return packet.Ack(*p)
	case *packet.Pubcomp:
		return packet.Ack(*p)
	}
	panic(errors.New("client: not an acknowledgement"))
}
