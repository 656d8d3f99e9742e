package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// handshake sends CONNECT and reads until CONNACK. The connection belongs to the caller alone.
func (c *Client) handshake(ctx context.Context) error {
	hello := c.opt.connect()
	if a := c.opt.Auth; a != nil && c.v >= packet.V5 {
		data, err := a.Start()
		if err != nil {
			return fmt.Errorf("connect: start authentication: %w", err)
		}
		hello.AuthMethod, hello.AuthData = packet.Some(a.Method()), data
		if err := checkConnect(hello); err != nil {
			return err
		}
	}
	if err := c.write(hello); err != nil { // [MQTT-3.1.0-1]
		return fmt.Errorf("connect: %w", err)
	}
	for {
		h, body, err := c.in.next()
		if err != nil {
			if err == io.EOF {
				err = errors.New("the server closed the connection without an answer")
			}
			return c.reject(err)
		}
		switch h.Type {
		case packet.TypeConnack:
			return c.reject(c.accept(h, body))
		case packet.TypeAuth: // nothing else is sent before CONNACK [MQTT-3.1.2-30]
			if err := c.stepAuth(ctx, h, body, c.write); err != nil {
				return c.reject(err)
			}
		default:
			return c.reject(violation(packet.ProtocolError, "MQTT-3.2.0-1", "the first packet is not CONNACK"))
		}
	}
}

// write sends one packet during the handshake.
func (c *Client) write(p packet.Packet) error {
	if c.opt.Trace != nil {
		c.opt.Trace(true, p)
	}
	_, err := c.conn.Write(p.Append(nil, c.v))
	return err
}

// reject tells the server about its breach of the protocol, if that is what err is.
func (c *Client) reject(err error) error {
	var broken *packet.Error
	if errors.As(err, &broken) && c.v >= packet.V5 {
		c.conn.SetWriteDeadline(time.Now().Add(drainTime))
		c.write(&packet.Disconnect{Code: broken.Code}) // 5.0 section 4.13.1
	}
	var refused *Error
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("connect: %w", err)
}

// accept takes CONNACK and what it announces.
func (c *Client) accept(h packet.Header, body []byte) error {
	a := &c.connack
	if err := a.Decode(h.Flags, body, c.v); err != nil {
		return err
	}
	if c.opt.Trace != nil {
		c.opt.Trace(false, a)
	}
	if a.Code != packet.Success {
		return &Error{Op: "connect", Code: a.Code, Reason: a.ReasonString.Or(""), ServerReference: a.ServerReference.Or("")} // Dial closes the connection [MQTT-4.13.2-1]
	}
	if a.SessionPresent && !c.opt.Resume { // [MQTT-3.2.2-2]; [MQTT-3.2.2-4]: such a session cannot be ours
		return violation(packet.ProtocolError, "MQTT-3.2.2-2", "session present after a clean start")
	}
	if c.opt.Auth != nil && c.v >= packet.V5 && a.AuthMethod.Or("") != c.opt.Auth.Method() && a.AuthMethod.Set {
		return violation(packet.ProtocolError, "MQTT-4.12.0-5", "authentication method changed")
	}
	if c.opt.Auth == nil && a.AuthMethod.Set { // [MQTT-4.12.0-6]
		return violation(packet.ProtocolError, "MQTT-4.12.0-6", "authentication method that was not asked for")
	}
	c.id = a.AssignedClientID.Or(c.opt.ClientID) // [MQTT-3.2.2-16]
	c.limits = limits{
		maxQoS: a.MaximumQoS.Or(2), retain: a.RetainAvailable.Or(1) == 1,
		packetSize: int(a.MaximumPacketSize.Or(packet.MaxVarint + 5)), aliases: a.TopicAliasMaximum.Or(0), // [MQTT-3.2.2-18]
	}
	keep := a.ServerKeepAlive.Or(c.opt.keepAliveSeconds()) // [MQTT-3.1.2-21], [MQTT-3.2.2-21]
	c.tick = time.Duration(keep) * time.Second
	c.quota = make(chan struct{}, min(c.opt.Inflight, a.ReceiveMaximum.Or(65535)))
	c.conn.SetDeadline(time.Time{})
	present := a.SessionPresent || c.v < packet.V311 && c.opt.Resume // 3.1 does not tell
	if !present {                                                    // [MQTT-3.2.2-5] [MQTT-3.1.2-4] [3.1.1: MQTT-3.1.2-6]
		if err := c.session.reset(); err != nil {
			return err
		}
	}
	c.resend()
	return nil
}

// resend sends again what was not acknowledged, in the original order and as far as the new quota allows [MQTT-4.4.0-1],
// [MQTT-4.6.0-1]. A PUBREL need not wait for the quota [MQTT-4.9.0-3], but it takes a place while there is one: its message
// still occupies the server, and mosquitto 2.0 acknowledges and drops what comes beyond its limit. The goroutines do not
// run yet.
func (c *Client) resend() {
	for _, o := range c.session.unfinished() {
		if o.state == awaitComp {
			c.sendAck(packet.TypePubrel, o.id)
			select {
			case c.quota <- struct{}{}:
			default:
			}
			continue
		}
		o.state = notSent // whatever has expired meanwhile [MQTT-4.3.3-7] [MQTT-4.3.3-13]
		c.backlog = append(c.backlog, o)
	}
	if c.opt.alone {
		c.keepBack()
	}
	for len(c.backlog) > 0 {
		select {
		case c.quota <- struct{}{}:
			c.sendBacklog()
		default:
			return
		}
	}
}

// sendBacklog sends the first message that was kept back, whose place in the quota the caller has taken. The caller
// holds the lock, or is the only user of c.
func (c *Client) sendBacklog() {
	o := c.backlog[0]
	c.backlog = c.backlog[1:]
	o.state = awaitAck
	if c.opt.Trace != nil {
		c.traceEncoded(o.encoded, dupFlag)
	}
	n := len(c.buf)
	c.buf = append(c.buf, o.encoded...)
	c.buf[n] |= dupFlag // [MQTT-3.3.1-1] [MQTT-3.3.1-3]
	c.signal()
}

// traceEncoded shows a PUBLISH that is sent as bytes.
func (c *Client) traceEncoded(b []byte, flags byte) {
	if h, ok, err := packet.ReadHeader(b); ok && err == nil {
		p := new(packet.Publish)
		if p.Decode(h.Flags|flags, b[h.Size:], c.v) == nil {
			c.opt.Trace(true, p)
		}
	}
}

// dupFlag is the DUP bit in the first byte of PUBLISH.
const dupFlag = 0x08
