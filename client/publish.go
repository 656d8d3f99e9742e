package client

import (
	"context"
	"fmt"
	"sync"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// Publish sends a message. With QoS 0 it returns when the message is buffered for sending, with QoS 1 and 2 when the
// server has acknowledged it; a refusal is an *Error. If ctx ends first the message may still arrive.
//
// Dup and PacketID of p are ignored. p and all bytes in it are only read, and not after Publish has returned. Topic may be
// empty if TopicAlias names one that an earlier message on this connection has set.
func (c *Client) Publish(ctx context.Context, p *packet.Publish) error {
	if p.QoS == 0 {
		return c.PublishAsync(ctx, p, nil)
	}
	if c.inHandler(ctx) {
		return ErrInHandler
	}
	w := &waiter{answer: make(chan error, 1)}
	if err := c.PublishAsync(ctx, p, w.done); err != nil {
		return err
	}
	select {
	case err := <-w.answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("publish: %w", ctx.Err())
	}
}

type waiter struct{ answer chan error }

func (w *waiter) done(_ packet.Ack, err error) { w.answer <- err }

// PublishAsync is Publish without waiting for the acknowledgement. It waits only for room: in the buffer, and with QoS 1
// and 2 in the window of unacknowledged messages. If and only if it returns nil, done is called once: with QoS 0 before it
// returns, else with the server's answer (its ReasonString and User properties included) or with the loss of the
// connection. done runs on the reading goroutine and must not wait for this client; it may be nil.
func (c *Client) PublishAsync(ctx context.Context, p *packet.Publish, done func(packet.Ack, error)) error {
	if err := c.checkPublish(p); err != nil {
		return err
	}
	if p.QoS > 0 {
		if err := c.acquire(ctx); err != nil {
			return err
		}
	}
	if err := c.lockToSend(ctx); err != nil {
		c.giveBack(p)
		return err
	}
	err := c.sendPublish(p, done, nil)
	c.mu.Unlock()
	if err != nil {
		c.giveBack(p)
		return err
	}
	if p.QoS == 0 && done != nil {
		done(packet.Ack{}, nil)
	}
	return nil
}

// publishNow sends a QoS 0 message if the connection lives and there is room in the buffer.
func (c *Client) publishNow(p *packet.Publish, done func(packet.Ack, error)) (sent bool, err error) {
	if err := c.checkPublish(p); err != nil {
		return false, err
	}
	c.mu.Lock()
	if c.err != nil || len(c.buf) >= maxBuffered {
		c.mu.Unlock()
		return false, nil
	}
	err = c.sendPublish(p, nil, nil)
	c.mu.Unlock()
	if err != nil {
		return false, err
	}
	if done != nil {
		done(packet.Ack{}, nil)
	}
	return true, nil
}

// acquire takes a place in the window, and waits for one [MQTT-4.9.0-2], [MQTT-3.3.4-7].
// Nothing but PUBLISH asks for one. [MQTT-3.3.4-8]
func (c *Client) acquire(ctx context.Context) error {
	select {
	case c.quota <- struct{}{}:
		return nil
	default:
	}
	if c.inHandler(ctx) {
		return ErrInHandler
	}
	select {
	case c.quota <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("publish: %w", ctx.Err())
	case <-c.stop:
		return lost(c.Err())
	}
}

// giveBack returns the place of a message that was not sent.
func (c *Client) giveBack(p *packet.Publish) {
	if p.QoS > 0 {
		c.mu.Lock()
		c.release()
		c.mu.Unlock()
	}
}

// sendPublish encodes the message into the buffer. q is the Keeper's message that it is, or nil. The caller holds the
// lock.
func (c *Client) sendPublish(p *packet.Publish, done func(packet.Ack, error), q *queued) error {
	m := publishes.Get().(*packet.Publish)
	defer func() {
		*m = packet.Publish{}
		publishes.Put(m)
	}()
	*m = *p
	m.Dup, m.PacketID = false, 0 // [MQTT-4.3.1-1], [MQTT-2.2.1-2] [MQTT-4.3.2-2] [MQTT-4.3.3-2]
	name, err := c.aliases.use(m, c.limits.aliases, c.opt.TopicAliases && c.v >= packet.V5)
	if err != nil {
		return err
	}
	if p.QoS > 0 {
		if m.PacketID, err = c.session.claim(c.control); err != nil {
			return err
		}
	}
	start := len(c.buf)
	c.send(m)
	if err := c.checkSize("publish", len(c.buf)-start); err != nil {
		c.buf = c.buf[:start]
		return err
	}
	c.aliases.commit(m, name)
	if p.QoS > 0 { // [MQTT-4.3.2-1], [MQTT-4.3.3-1]
		o := c.session.add(m.PacketID, m.QoS, done)
		o.queued = q
		if !c.session.ephemeral {
			m.Topic, m.TopicAlias = name, packet.Opt[uint16]{} // an alias ends with the connection [MQTT-3.3.2-7]
			o.encoded = m.Append(nil, c.v)
		}
	}
	return nil
}

// publishQueued sends a message of a Keeper, which is told of the acknowledgement, on whatever connection it comes. With
// QoS 2 number is called with the packet identifier, without any lock, before the message leaves.
func (c *Client) publishQueued(ctx context.Context, p *packet.Publish, q *queued, number func(id uint16) error) error {
	if err := c.checkPublish(p); err != nil {
		return err
	}
	if p.QoS == 0 {
		return c.PublishAsync(ctx, p, nil)
	}
	if err := c.acquire(ctx); err != nil {
		return err
	}
	if err := c.lockToSend(ctx); err != nil {
		c.giveBack(p)
		return err
	}
	if p.QoS == 1 || number == nil {
		err := c.sendPublish(p, nil, q)
		c.mu.Unlock()
		if err != nil {
			c.giveBack(p)
		}
		return err
	}
	o, err := c.reserve(p, q)
	c.mu.Unlock()
	if err != nil {
		c.giveBack(p)
		return err
	}
	return c.sendReserved(o, number)
}

// reserve gives a message its number without sending it. The caller holds the lock.
func (c *Client) reserve(p *packet.Publish, q *queued) (*outgoing, error) {
	id, err := c.session.claim(c.control)
	if err != nil {
		return nil, err
	}
	m := *p
	m.Dup, m.PacketID = false, id
	encoded := m.Append(nil, c.v)
	if err := c.checkSize("publish", len(encoded)); err != nil {
		return nil, err
	}
	o := c.session.add(id, m.QoS, nil)
	o.queued, o.encoded, o.state = q, encoded, notSent
	return o, nil
}

// sendReserved sends a message that has its number, after number has made that durable. When the connection has ended the
// message leaves with the next one.
func (c *Client) sendReserved(o *outgoing, number func(id uint16) error) error {
	err := number(o.id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.session.remove(o)
		c.release()
		return err
	}
	if c.err == nil {
		o.state = awaitAck
		if c.opt.Trace != nil {
			c.traceEncoded(o.encoded, 0)
		}
		c.buf = append(c.buf, o.encoded...)
		c.signal()
	}
	return nil
}

// checkSize refuses a packet that is larger than the server takes [MQTT-3.2.2-15].
func (c *Client) checkSize(op string, size int) error {
	if size <= c.limits.packetSize {
		return nil
	}
	return &Error{Op: op, Code: packet.PacketTooLarge, Reason: fmt.Sprintf("%d bytes, the server takes %d", size, c.limits.packetSize)}
}

// publishes keeps packets that are being encoded, so that a publication allocates nothing.
var publishes = sync.Pool{New: func() any { return new(packet.Publish) }}

// checkPublish foresees what the server must refuse.
func (c *Client) checkPublish(p *packet.Publish) error {
	refuse := func(code packet.Code, reason string) error { return &Error{Op: "publish", Code: code, Reason: reason} }
	if len(p.Topic) > 0 || !p.TopicAlias.Set || c.v < packet.V5 {
		if err := topic.ValidateNameDepth(p.Topic, topic.MaxLength); err != nil {
			return refuse(packet.TopicNameInvalid, err.Error())
		}
		if !packet.ValidUTF8(p.Topic) { // [MQTT-1.5.4-1]
			return refuse(packet.TopicNameInvalid, "not UTF-8")
		}
	}
	switch {
	case p.QoS > 2: // [MQTT-3.3.1-4]
		return refuse(packet.QoSNotSupported, "QoS is 0, 1 or 2")
	case p.QoS > c.limits.maxQoS: // [MQTT-3.2.2-11]
		return refuse(packet.QoSNotSupported, fmt.Sprintf("the server takes QoS %d at most", c.limits.maxQoS))
	case p.Retain && !c.limits.retain: // [MQTT-3.2.2-14]
		return refuse(packet.RetainNotSupported, "")
	case len(p.SubscriptionIDs) > 0: // [MQTT-3.3.4-6]
		return refuse(packet.ProtocolError, "a client sends no Subscription Identifier")
	case c.v >= packet.V5 && p.TopicAlias.Set && (p.TopicAlias.Value == 0 || p.TopicAlias.Value > c.limits.aliases):
		return refuse(packet.TopicAliasInvalid, // [MQTT-3.2.2-17], [MQTT-3.3.2-8] [MQTT-3.3.2-9]
			fmt.Sprintf("alias %d, the server takes 1 to %d", p.TopicAlias.Value, c.limits.aliases))
	}
	return checkProperties(p)
}

// aliases are the topic aliases that were set on this connection in outbound direction.
type aliases struct {
	byTopic map[string]uint16
	topics  map[uint16]string
}

// use finds the full topic of m, and replaces it by an alias if auto is set and there is one.
func (a *aliases) use(m *packet.Publish, limit uint16, auto bool) (name []byte, err error) {
	name = m.Topic
	if m.TopicAlias.Set {
		if len(name) == 0 {
			known, ok := a.topics[m.TopicAlias.Value]
			if !ok {
				return nil, &Error{Op: "publish", Code: packet.TopicAliasInvalid, Reason: "no topic was set for the alias"}
			}
			name = []byte(known)
		}
		return name, nil
	}
	if !auto {
		return name, nil
	}
	if n, ok := a.byTopic[string(name)]; ok {
		m.TopicAlias, m.Topic = packet.Some(n), nil
	} else if len(a.topics) < int(limit) {
		n := uint16(len(a.topics) + 1)
		for a.topics[n] != "" {
			n = n%limit + 1
		}
		m.TopicAlias = packet.Some(n)
	}
	return name, nil
}

// commit remembers the alias that m has set.
func (a *aliases) commit(m *packet.Publish, name []byte) {
	if !m.TopicAlias.Set || len(m.Topic) == 0 {
		return
	}
	if a.topics == nil {
		a.topics, a.byTopic = make(map[uint16]string), make(map[string]uint16)
	}
	n := m.TopicAlias.Value
	delete(a.byTopic, a.topics[n])
	a.topics[n] = string(name)
	a.byTopic[string(name)] = n
}
