package client

import (
	"context"
	"sync"

	"github.com/nightjarmq/nightjar/packet"
)

// Hold takes the acknowledgement of a message into the caller's hands. It is called by a handler, with the handler's
// context and before the handler returns. The message is then acknowledged when the returned function is called, from any
// goroutine; calling it again does nothing.
//
//	func(ctx context.Context, m *packet.Publish) {
//		acknowledge, m := client.Hold(ctx), client.Clone(m)
//		work <- func() { store(m); acknowledge() }
//	}
//
// Acknowledgements leave in the order of the messages [MQTT-4.6.0-2]: one that is held keeps back those that follow. So a
// message that is never acknowledged stops the server after as many as Options.ReceiveMaximum allows, which is how the
// caller bounds what it has to keep.
//
// When the connection ends first, a QoS 1 message comes again on the next one. A QoS 2 message does not, if the session
// goes on: its acknowledgement is sent on the connection that there is when the function is called, or by the next.
//
// If several handlers get the same message it is acknowledged when all who hold it have called. A QoS 0 message is not
// acknowledged, and Hold does nothing.
func Hold(ctx context.Context) (acknowledge func()) {
	c := FromContext(ctx)
	if c == nil || c.reader.pub.QoS == 0 {
		return func() {}
	}
	d := c.reader.held
	if d == nil {
		d = &delivery{owner: c, life: c.session.life, qos2: c.reader.pub.QoS == 2, id: c.reader.pub.PacketID}
		c.reader.held = d
	}
	d.mu.Lock()
	d.holds++
	d.mu.Unlock()
	return sync.OnceFunc(d.release)
}

// delivery is a message that handlers hold.
type delivery struct {
	life uint64 // of the session
	id   uint16
	qos2 bool

	mu    sync.Mutex
	holds int     // guarded by mu
	owner *Client // guarded by mu: the connection to acknowledge on
}

// release lets go of one hold. The last one acknowledges.
func (d *delivery) release() {
	d.mu.Lock()
	last := d.holds == 1
	s := d.owner.session
	if !last {
		d.holds--
	}
	d.mu.Unlock()
	if !last {
		return
	}
	var err error
	if d.qos2 {
		err = s.recordReceived(d.life, d.id) // before PUBREC, and not under a lock
	}
	d.mu.Lock()
	d.holds--
	c := d.owner
	d.mu.Unlock()
	if err != nil {
		c.refuse(err)
		return
	}
	c.mu.Lock()
	if c.err == nil {
		c.sendReleased()
	}
	c.mu.Unlock()
}

// adopt lets the acknowledgement go to c, to which the message was sent again.
func (d *delivery) adopt(c *Client) {
	if d == nil {
		return
	}
	d.mu.Lock()
	d.owner = c
	d.mu.Unlock()
}

func (d *delivery) open() bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.holds > 0
}

// unacked is an acknowledgement that waits for its turn.
type unacked struct {
	t  packet.Type
	id uint16
	d  *delivery // nil: not held, only behind one that is
}

// sendReleased sends the acknowledgements at the front that nobody holds. The caller holds the lock.
func (c *Client) sendReleased() {
	for len(c.unacked) > 0 && !c.unacked[0].d.open() {
		u := c.unacked[0]
		c.unacked = c.unacked[1:]
		c.sendAck(u.t, u.id)
	}
}

// recordReceived makes it durable that a QoS 2 message was handed over.
func (s *Session) recordReceived(life uint64, id uint16) error {
	if s.records == nil {
		return nil
	}
	return s.records.received(life, id, true)
}

// recordReleased makes it durable that the number of a QoS 2 message may be used again.
func (s *Session) recordReleased(id uint16) error {
	if s.records == nil {
		return nil
	}
	return s.records.received(s.life, id, false)
}
