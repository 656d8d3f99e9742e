package conn

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/timer"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// Conn is one connection.
type Conn struct {
	hub.Link
	srv *Server
	lim *Limits // of its listener

	connected atomic.Bool  // CONNACK with success was sent; read by the timer
	expiry    uint32       // Session Expiry Interval of the CONNECT
	lastSeen  atomic.Int64 // unix ms of the last whole packet; read by the timer
	keepAlive int64        // milliseconds without a packet that end it; 0: never
	timer     timer.Entry

	subscribing *hub.Subscribing // a SUBSCRIBE under way, which is fed again; else nil

	asked    string     // client identifier of the CONNECT, for the log
	auth     *authState // nil unless an authentication is or was under way
	goodbye  hub.Goodbye
	ended    bool // nothing more is read
	bridge   bool // the client says, before 5.0, that it is a bridge
	nameless bool // the CONNECT had no client identifier
}

// Errors that end a connection without a packet that broke a rule.
var (
	errDisconnected   = fmt.Errorf("the client disconnected: %w", transport.ErrPeerDone)
	errConnectTimeout = errors.New("no CONNECT in time")
	errKeepAlive      = errors.New("no packet for one and a half times the keep-alive time")
	errNotConnect     = &packet.Error{Code: packet.ProtocolError, Clause: "MQTT-3.1.0-1", Msg: "the first packet is not CONNECT"}
	errTwoConnects    = &packet.Error{Code: packet.ProtocolError, Clause: "MQTT-3.1.0-2", Msg: "a second CONNECT"}
	errTooLarge       = &packet.Error{Code: packet.PacketTooLarge, Clause: "MQTT-3.2.2-15", Msg: "the packet exceeds the Maximum Packet Size"}
	errReserved       = &packet.Error{Code: packet.MalformedPacket, Clause: "2.1.2", Msg: "a reserved packet type"}
	errServerPacket   = &packet.Error{Code: packet.ProtocolError, Clause: "MQTT-2.1.2", Msg: "a packet that only a Server sends"}
)

// Feed cuts data into packets and handles those that are complete.
func (c *Conn) Feed(b *transport.Batch, data []byte) (n int, err error) {
	l := hub.LocalOf(b)
	defer l.Sync(b.Now)
	defer c.End()
	if !c.Begin() {
		return 0, hub.ErrTakenOver
	}
	for n < len(data) && !c.ended {
		h, ok, err := packet.ReadHeader(data[n:])
		if err == nil {
			err = c.admit(data[n], h, ok)
		}
		if err != nil {
			return n, c.fail(b, err)
		}
		size := h.Size + h.Remaining
		if !ok || len(data)-n < size {
			return n, nil
		}
		raw := data[n : n+size : n+size]
		wait, err := c.handle(b, l, h, raw)
		if err != nil {
			return n, c.fail(b, err)
		}
		if wait {
			return n, nil
		}
		n += size
		l.Stats.PacketsIn++
		l.Stats.BytesIn += int64(size)
		c.lastSeen.Store(b.Now)
	}
	if c.ended {
		return len(data), errDisconnected
	}
	return n, nil
}

// admit refuses a packet by its first bytes, before more of it is kept.
// [MQTT-3.1.0-1]
func (c *Conn) admit(first byte, h packet.Header, ok bool) error {
	limit := c.lim.maxPacket()
	if !c.connected.Load() {
		if t := packet.Type(first >> 4); t != packet.TypeConnect && (c.auth == nil || t != packet.TypeAuth) {
			return errNotConnect
		}
		limit = c.srv.cfg.MaxConnect
	}
	if ok && h.Size+h.Remaining > limit {
		return errTooLarge
	}
	return nil
}

// handle acts on one packet. wait means that the packet is to be fed again,
// when the connection is resumed.
// [MQTT-4.9.0-3] [MQTT-3.3.4-1]
func (c *Conn) handle(b *transport.Batch, l *hub.Local, h packet.Header, raw []byte) (wait bool, err error) {
	body := raw[h.Size:]
	if l.Tracing && h.Type != packet.TypeConnect && c.Client != nil {
		c.srv.cfg.Hub.Trace("Received", c.Client.ID, c.Version, raw)
	}
	if !c.connected.Load() {
		return c.beforeConnected(b, l, h, body)
	}
	switch h.Type {
	case packet.TypePublish:
		return false, c.publish(b, l, h, body, raw)
	case packet.TypePuback, packet.TypePubrec, packet.TypePubrel, packet.TypePubcomp:
		return false, c.ack(b, h, body)
	case packet.TypeSubscribe:
		return c.subscribe(b, h, body)
	case packet.TypeUnsubscribe:
		return false, c.unsubscribe(b, h, body)
	case packet.TypePingreq:
		return false, c.ping(b, l, h, body)
	case packet.TypeDisconnect:
		return false, c.disconnect(h, body)
	case packet.TypeAuth:
		return c.reauthenticate(b, h, body)
	case packet.TypeConnect:
		return false, errTwoConnects // [MQTT-3.1.0-2]
	case 0:
		return false, errReserved
	}
	return false, errServerPacket
}

func (c *Conn) publish(b *transport.Batch, l *hub.Local, h packet.Header, body, raw []byte) error {
	in := &l.In
	if err := in.Decode(h.Flags, body, c.Version); err != nil {
		return err
	}
	if in.QoS > c.lim.MaxQoS {
		return &packet.Error{Code: packet.QoSNotSupported, Clause: "MQTT-3.2.2-11", Msg: "QoS above the Maximum QoS"}
	}
	return c.Client.Receive(b, &c.Link, in, raw)
}

func (c *Conn) ack(b *transport.Batch, h packet.Header, body []byte) error {
	id, code, ok := packet.ReadAck(body, c.Version)
	if !ok || h.CheckFlags(c.Version) != nil {
		p, err := packet.Decode(h, body, c.Version)
		if err != nil {
			return err
		}
		id, code = ackFields(p)
	}
	c.Client.Acked(b, &c.Link, h.Type, id, code)
	return nil
}

func ackFields(p packet.Packet) (uint16, packet.Code) {
	switch p := p.(type) {
	case *packet.Puback:
		return p.PacketID, p.Code
	case *packet.Pubrec:
		return p.PacketID, p.Code
	case *packet.Pubrel:
		return p.PacketID, p.Code
	case *packet.Pubcomp:
		return p.PacketID, p.Code
	}
	return 0, 0
}

// subscribe answers without User Properties. [MQTT-3.9.2-2]
func (c *Conn) subscribe(b *transport.Batch, h packet.Header, body []byte) (wait bool, err error) {
	if c.subscribing == nil {
		if err := c.beginSubscribe(h, body); err != nil {
			return false, err
		}
	}
	done, err := c.srv.cfg.Hub.Subscribe(b, &c.Link, c.subscribing)
	if done || err != nil {
		c.subscribing = nil
		return false, err
	}
	c.Conn.FeedAgain()
	return true, nil
}

func (c *Conn) beginSubscribe(h packet.Header, body []byte) error {
	s := new(hub.Subscribing)
	p := &s.Packet
	if err := p.Decode(h.Flags, body, c.Version); err != nil {
		return err
	}
	if c.bridge { // it gets nothing back, and sees what is retained, as from Mosquitto
		for i := range p.Filters {
			f := &p.Filters[i]
			f.NoLocal, f.RetainAsPublished = !strings.HasPrefix(f.Filter, "$share/"), true
		}
	}
	s.Answer = func(codes []packet.Code, why string) []byte {
		k := packet.Suback{PacketID: p.PacketID, Codes: codes} // [MQTT-3.8.4-2] [MQTT-3.8.4-6] [MQTT-2.2.1-6]
		return c.explained(&k, &k.ReasonString, why)
	}
	c.subscribing = s
	return nil
}

// explained encodes an answer with the Reason String why, if the client wants to know and it fits. [MQTT-3.1.2-29]
// [MQTT-3.9.2-1] [MQTT-3.11.2-1]
func (c *Conn) explained(k packet.Packet, reason *packet.Opt[string], why string) []byte {
	if why != "" && c.Problems {
		*reason = packet.Some(why)
		if long := k.Append(nil, c.Version); len(long) <= c.MaxPacket {
			return long
		}
		*reason = packet.Opt[string]{}
	}
	return k.Append(nil, c.Version)
}

// unsubscribe answers without User Properties. [MQTT-3.11.2-2]
func (c *Conn) unsubscribe(b *transport.Batch, h packet.Header, body []byte) error {
	var p packet.Unsubscribe
	if err := p.Decode(h.Flags, body, c.Version); err != nil {
		return err
	}
	return c.srv.cfg.Hub.Unsubscribe(b, &c.Link, p.Filters, func(codes []packet.Code, why string) []byte {
		k := packet.Unsuback{PacketID: p.PacketID, Codes: codes} // [MQTT-3.10.4-4] [MQTT-3.10.4-5]
		return c.explained(&k, &k.ReasonString, why)
	})
}

func (c *Conn) ping(b *transport.Batch, l *hub.Local, h packet.Header, body []byte) error {
	var p packet.Pingreq
	if err := p.Decode(h.Flags, body, c.Version); err != nil {
		return err
	}
	l.Stats.PacketsOut++
	l.Stats.BytesOut += 2
	c.Client.Answer(b, &c.Link, []byte{byte(packet.TypePingresp) << 4, 0}) // [MQTT-3.12.4-1]
	return nil
}

func (c *Conn) disconnect(h packet.Header, body []byte) error {
	var p packet.Disconnect
	if err := p.Decode(h.Flags, body, c.Version); err != nil {
		return err
	}
	if p.SessionExpiry.Set && p.SessionExpiry.Value != 0 && c.expiry == 0 {
		return &packet.Error{Code: packet.ProtocolError, Clause: "3.14.2.2.2", Msg: "Session Expiry Interval of a session that had none"}
	}
	c.goodbye = hub.Goodbye{Normal: p.Code == packet.Success, Expiry: p.SessionExpiry}
	if limit := c.lim.MaxExpiry; limit != 0 && p.SessionExpiry.Set {
		c.goodbye.Expiry.Value = min(c.goodbye.Expiry.Value, limit)
	}
	c.ended = true // [MQTT-3.14.4-1] [MQTT-3.14.4-2]
	return nil
}

// fail ends the connection for an error and returns it. The client is told the
// reason where the protocol has a packet for that. [MQTT-4.13.1-1]
// [MQTT-4.13.2-1] [3.1.1: MQTT-4.8.0-1] [3.1.1: MQTT-4.8.0-2] [MQTT-3.1.4-6]
func (c *Conn) fail(b *transport.Batch, err error) error {
	if c.connected.Load() && !errors.Is(err, hub.ErrTakenOver) {
		code, reason := explain(err)
		c.Kick(b, code, reason, err)
	}
	return err
}

// explain finds what to tell a client about an error. Only what it did itself is
// explained; what went wrong here is not its business.
func explain(err error) (code packet.Code, reason string) {
	var pe *packet.Error
	if errors.As(err, &pe) {
		return pe.Code, pe.Msg + " [" + pe.Clause + "]"
	}
	return packet.UnspecifiedError, ""
}

// Drained continues what waited for room in the connection.
func (c *Conn) Drained(b *transport.Batch) {
	if c.Client != nil && c.connected.Load() {
		c.Client.Drained(b)
		hub.LocalOf(b).Sync(b.Now)
	}
}

// Closed is the end of the connection.
func (c *Conn) Closed(b *transport.Batch, err error) {
	h := c.srv.cfg.Hub
	h.Timers().Stop(&c.timer)
	l := hub.LocalOf(b)
	c.cancelAuth()
	if c.Client != nil {
		l.Stats.Closed++
		h.Leave(b, &c.Link, c.goodbye)
	}
	if e, ok := ending(err); ok {
		l.Stats.Ended[e]++
	}
	c.logClosed(err)
	l.Sync(b.Now)
}

// ending says which fault or timeout has ended a connection, if it was one.
func ending(err error) (hub.Ending, bool) {
	var pe *packet.Error
	switch {
	case err == errConnectTimeout:
		return hub.NoConnect, true
	case err == errKeepAlive:
		return hub.Silence, true
	case errors.Is(err, hub.ErrTakenOver):
		return hub.TakenOver, true
	case err == errNotConnect:
		return hub.NotConnect, true
	case !errors.As(err, &pe):
		return 0, false
	}
	switch pe.Code {
	case packet.MalformedPacket:
		return hub.Malformed, true
	case packet.PacketTooLarge:
		return hub.TooLong, true
	case packet.NotAuthorized, packet.BadUserNameOrPassword, packet.BadAuthenticationMethod, packet.Banned:
		return hub.Unauthorized, true
	case packet.QuotaExceeded, packet.ReceiveMaximumExceeded, packet.ConnectionRateExceeded:
		return hub.OverQuota, true
	case packet.ServerUnavailable, packet.ImplementationSpecificError:
		return 0, false // ours
	}
	return hub.Violation, true
}

// Expire watches the time: before CONNECT its deadline, later keep-alive.
// [MQTT-3.1.2-22]
func (c *Conn) Expire(now int64) (next int64) {
	if !c.connected.Load() {
		c.Conn.Close(errConnectTimeout)
		return 0
	}
	due := c.lastSeen.Load() + c.keepAlive
	if now < due {
		return due
	}
	b := c.srv.cfg.Batch()
	c.Kick(b, packet.KeepAliveTimeout, "", errKeepAlive)
	c.srv.cfg.Release(b)
	return 0
}
