package hub

import (
	"bytes"

	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// Receive takes a PUBLISH from the client, routes it and acknowledges it. raw
// is the whole packet, nil if it must not be passed on byte for byte; all of in
// and raw is borrowed. An error ends the connection.
func (c *Client) Receive(b *transport.Batch, l *Link, in *packet.Publish, raw []byte) error {
	lo := local(b)
	lo.Stats.PublishIn++
	lo.Stats.PublishInB += int64(len(in.Payload))
	if in.QoS > 0 || in.TopicAlias.Set || len(in.SubscriptionIDs) > 0 {
		isNew, err := c.admit(l, in)
		if err != nil {
			return err
		}
		if !isNew {
			c.accept(b, l, in, packet.Success, 0) // a repeat of what was taken
			return nil
		}
	}
	if l.Mount != "" {
		lo.mounted = append(append(lo.mounted[:0], l.Mount...), in.Topic...)
		in.Topic, raw = lo.mounted, nil
	}
	if err := c.hub.CheckLevels(in.Topic); err != nil {
		return err
	}
	lo.reason = ""
	pub := &lo.Pub
	pub.Set(in, raw, l.Version, b.Now)
	incoming := uint16(0)
	if in.QoS == 2 {
		incoming = in.PacketID
	}
	code, t, err := c.hub.Publish(b, c, pub, incoming) // [MQTT-3.3.4-1]
	if err != nil {
		if in.QoS > 0 && l.Version < packet.V5 {
			c.forget(in)
			return err // no acknowledgement, and the client tries again
		}
		c.hub.log.Debug("a message was refused because it could not be stored", "client", c.ID, "err", err)
	}
	if code == packet.RetainNotSupported {
		return &packet.Error{Code: code, Clause: "MQTT-3.2.2-14", Msg: "retained messages are switched off"}
	}
	if in.QoS > 0 {
		c.accept(b, l, in, code, t)
	}
	return nil
}

// CheckLevels refuses a topic of a client that has more levels than the broker
// takes: the standard allows 65,536.
func (h *Hub) CheckLevels(name []byte) error {
	if most := h.cfg.MaxLevels; len(name) >= most && bytes.Count(name, []byte{'/'}) >= most {
		return &packet.Error{Code: packet.TopicNameInvalid, Clause: "MQTT-4.7.3-3", Msg: "the topic has too many levels"}
	}
	return nil
}

// accept answers a PUBLISH of QoS 1 or 2, as soon as the ticket is durable.
// [MQTT-4.6.0-2] [MQTT-4.6.0-3]
func (c *Client) accept(b *transport.Batch, l *Link, in *packet.Publish, code packet.Code, t store.Ticket) {
	lo := local(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sess == nil || c.link.Load() != l {
		return
	}
	lo.scratch = l.explain(c.sess.Accept(lo.scratch[:0], in.QoS, in.PacketID, code), in, code, lo.reason)
	acks := 0
	if in.QoS == 1 {
		acks = 1
	}
	lo.Stats.PacketsOut++
	lo.Stats.BytesOut += int64(len(lo.scratch))
	l.owe(c.room(l), len(lo.scratch))
	c.emit(b, t, lo.scratch, acks)
}

// explain adds the Reason String to the acknowledgement of a message that is
// refused, if the client takes one and it fits. [MQTT-3.1.2-29] [MQTT-3.4.2-2]
// [MQTT-3.5.2-2]
func (l *Link) explain(ack []byte, in *packet.Publish, code packet.Code, why string) []byte {
	if code < packet.UnspecifiedError || why == "" || !l.Problems {
		return ack
	}
	var k packet.Packet = &packet.Puback{PacketID: in.PacketID, Code: code, ReasonString: packet.Some(why)}
	if in.QoS == 2 {
		k = &packet.Pubrec{PacketID: in.PacketID, Code: code, ReasonString: packet.Some(why)}
	}
	if long := k.Append(nil, l.Version); l.fits(len(long)) {
		return append(ack[:0], long...)
	}
	return ack
}

// forget closes the identifier of a message that is not acknowledged.
// [3.1.1: MQTT-4.8.0-2]
func (c *Client) forget(in *packet.Publish) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sess != nil && in.QoS == 2 {
		c.sess.Forget(in.PacketID)
	}
}

func (c *Client) admit(l *Link, in *packet.Publish) (isNew bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sess == nil || c.link.Load() != l {
		return false, ErrTakenOver
	}
	return c.sess.Publish(in)
}
