package conn

import (
	"crypto/rand"
	"strconv"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/ration"
	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// beforeConnected handles CONNECT, and AUTH while an enhanced authentication is
// under way. A packet that starts an authentication is fed again, until the
// result is there.
func (c *Conn) beforeConnected(b *transport.Batch, l *hub.Local, h packet.Header, body []byte) (wait bool, err error) {
	if c.auth != nil && c.auth.running {
		r := c.auth.take()
		if r == nil {
			return true, nil
		}
		return false, c.authenticated(b, l, r)
	}
	if h.Type == packet.TypeAuth {
		err = c.continueAuth(h, body)
	} else {
		err = c.connect(b, l, h, body)
	}
	if err != nil {
		return false, c.refuse(b, l, err)
	}
	return c.auth != nil && c.auth.running, nil
}

// connect handles CONNECT up to the question who the client is.
func (c *Conn) connect(b *transport.Batch, l *hub.Local, h packet.Header, body []byte) error {
	if c.auth != nil {
		return errTwoConnects
	}
	p := &l.Connect
	defer func() { *p = packet.Connect{} }()
	err := p.Decode(h.Flags, body, 0)
	c.Version, c.bridge = p.Version, p.Bridge
	c.MaxPacket = int(p.MaximumPacketSize.Or(packet.MaxVarint + 5))
	if err != nil {
		return err
	}
	c.nameless = p.ClientID == ""
	if c.lim.UserIsClientID {
		p.ClientID = p.Username.Or("")
	}
	c.asked = p.ClientID
	if err := c.checkRate(); err != nil {
		return err
	}
	if err := c.checkConnect(p); err != nil {
		return err
	}
	if a := *c.srv.auth.Load(); a != nil || p.AuthMethod.Set {
		kept := *p // the answer comes later
		if p.AuthMethod.Set {
			return c.startAuth(&kept)
		}
		c.checkPassword(&kept, a)
		return nil
	}
	if !c.lim.Anonymous {
		return &packet.Error{Code: packet.NotAuthorized, Clause: "MQTT-3.1.4-2", Msg: "the listener lets nobody in without a user, and there are no users"}
	}
	return c.open(b, l, p, "")
}

// authenticated continues when an authentication, or a step of it, is done.
func (c *Conn) authenticated(b *transport.Batch, l *hub.Local, r *authResult) error {
	a := c.auth
	a.reply = r.reply
	switch {
	case r.err != nil:
		return c.refuse(b, l, r.err)
	case !r.done: // [MQTT-4.12.0-2]
		c.sendAuth(b, packet.ContinueAuthentication)
		return nil
	}
	p := a.connect
	if err := c.open(b, l, p, r.user); err != nil {
		return c.refuse(b, l, err)
	}
	a.exchange = nil
	if a.method == nil {
		c.auth = nil
	}
	return nil
}

// refuse answers CONNECT with the error's code, where the version has a way to
// say it, and returns the error. [MQTT-3.1.4-2] [MQTT-3.2.2-6]
// The caller closes the connection. [MQTT-3.2.2-7] [MQTT-4.12.0-4] [MQTT-3.2.2-20] [MQTT-3.1.4-6]
// [3.1.1: MQTT-3.1.3-9]
func (c *Conn) refuse(b *transport.Batch, l *hub.Local, err error) error {
	l.Stats.Refused++
	code, reason := explain(err)
	v := c.Version
	if code == packet.UnsupportedProtocolVersion && v != packet.V5 {
		v = packet.V311 // [3.1.1: MQTT-3.1.2-2] the code for those who speak another version
	}
	if _, ok := code.ReturnCode(); v < packet.V5 && !ok {
		return err // [3.1.1: MQTT-3.1.4-1] closed without a CONNACK
	}
	l.Stats.PacketsOut++
	ack := packet.Connack{Code: code}
	out := ack.Append(nil, v)
	if reason != "" {
		ack.ReasonString = packet.Some(reason)
		if long := ack.Append(nil, v); c.MaxPacket == 0 || len(long) <= c.MaxPacket { // [MQTT-3.2.2-19]
			out = long
		}
	}
	if v < packet.V5 || c.MaxPacket == 0 || len(out) <= c.MaxPacket { // [MQTT-3.1.2-24]
		c.Conn.SendControl(b, out)
	}
	return err
}

// checkRate refuses who connects too often, before anything is spent on it. A peer
// without an address is on this machine.
func (c *Conn) checkRate() error {
	place := ration.Place(c.Conn.RemoteAddr())
	if most := c.lim.ConnectRate; most == 0 || place == "" || c.srv.rates.Allow(place, most) {
		return nil
	}
	return &packet.Error{Code: packet.ConnectionRateExceeded, Clause: "MQTT-3.1.4-2", Msg: "too many connections from this address"}
}

// checkConnect refuses what this broker does not do.
// Every other Client Identifier is taken. [MQTT-3.1.3-5]
func (c *Conn) checkConnect(p *packet.Connect) error {
	lim := c.lim
	if int(p.Version) < len(lim.Versions) && lim.Versions[p.Version] {
		return &packet.Error{Code: packet.UnsupportedProtocolVersion, Clause: "MQTT-3.1.2-2", Msg: "the listener does not accept this protocol version"}
	}
	if p.ClientID == "" && !lim.UserIsClientID && (!lim.EmptyClientID || p.Version < packet.V5 && !p.CleanStart) { // [MQTT-3.1.3-8] [3.1.1: MQTT-3.1.3-8]
		return &packet.Error{Code: packet.ClientIdentifierNotValid, Clause: "MQTT-3.1.3-8", Msg: "empty client identifier"}
	}
	if p.Will == nil {
		return nil
	}
	p.Will.Topic = lim.MountPoint + p.Will.Topic
	if err := c.srv.cfg.Hub.CheckLevels([]byte(p.Will.Topic)); err != nil {
		return err
	}
	if p.Will.QoS > lim.MaxQoS { // [MQTT-3.2.2-12]
		return &packet.Error{Code: packet.QoSNotSupported, Clause: "MQTT-3.2.2-12", Msg: "Will QoS above the Maximum QoS"}
	}
	if p.Will.Retain && lim.RetainOff { // [MQTT-3.2.2-13]
		return &packet.Error{Code: packet.RetainNotSupported, Clause: "MQTT-3.2.2-13", Msg: "retained will, and retained messages are switched off"}
	}
	return nil
}

// open makes or continues the session and answers CONNECT.
// [MQTT-3.1.4-5] [MQTT-3.2.0-2]
func (c *Conn) open(b *transport.Batch, l *hub.Local, p *packet.Connect, user string) error {
	lim := c.lim
	ack, o := &l.Connack, &l.Opening
	defer func() { *ack, *o = packet.Connack{}, hub.Opening{} }()
	*o = hub.Opening{
		ClientID: p.ClientID, User: user, CleanStart: p.CleanStart,
		Expiry: sessionExpiry(p), Will: will(p.Will), Link: &c.Link, // [MQTT-3.1.2-7]
	}
	if lim.UserIsClientID {
		if user == "" {
			return &packet.Error{Code: packet.NotAuthorized, Clause: "MQTT-3.1.4-2", Msg: "no user name, which is to be the client identifier"}
		}
		o.ClientID = user
		if c.nameless { // one with an identifier of its own takes another one for an error
			ack.AssignedClientID = packet.Some(user) // [MQTT-3.2.2-16]
		}
	}
	if o.ClientID == "" { // [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]
		o.ClientID = lim.ClientIDPrefix + rand.Text()
		ack.AssignedClientID = packet.Some(o.ClientID)
	}
	if lim.MaxExpiry != 0 && o.Expiry > lim.MaxExpiry {
		o.Expiry = lim.MaxExpiry
		ack.SessionExpiry = packet.Some(o.Expiry) // [MQTT-3.2.2-21] in spirit: the client learns what holds
	}
	c.expiry = o.Expiry
	c.setKeepAlive(p, ack)
	o.Params = session.Params{
		Version:        p.Version,
		SendMaximum:    min(p.ReceiveMaximum.Or(65535), lim.inflight(p.Version)), // [MQTT-4.9.0-1]
		ReceiveMaximum: lim.receiveMaximum(),
		Lenient:        lim.Lenient,
		MaximumPacket:  p.MaximumPacketSize.Or(0),
		SendAliases:    min(p.TopicAliasMaximum.Or(0), lim.SendAliases),
		ReceiveAliases: lim.TopicAliases,
		SendBytes:      lim.InflightBytes,
		Mount:          lim.MountPoint,
	}
	c.Aliases = o.Params.SendAliases > 0
	c.Problems = p.Version >= packet.V5 && p.RequestProblemInfo.Or(1) == 1
	c.announce(p, ack, o.ClientID)
	if p.Version >= packet.V5 && len(ack.Append(nil, p.Version)) > c.MaxPacket { // [MQTT-3.1.2-24]
		return &packet.Error{Code: packet.PacketTooLarge, Clause: "MQTT-3.1.2-24", Msg: "CONNACK exceeds the client's Maximum Packet Size"}
	}
	o.Answer = func(dst []byte, present bool) []byte {
		ack.SessionPresent = present
		return ack.Append(dst, p.Version)
	}
	if _, err := c.srv.cfg.Hub.Open(b, o); err != nil {
		return err
	}
	l.Stats.Connects++
	l.Stats.PacketsOut++
	c.lastSeen.Store(b.Now)
	c.connected.Store(true)
	c.startKeepAlive(b.Now)
	c.logConnected(p, o.ClientID, user)
	return nil
}

// inflight is how many messages may be under way to a client, as far as we
// decide. Before 5.0 a client cannot say what it takes, and a small one that
// comes back to a long queue should not be buried.
func (l *Limits) inflight(v packet.Version) uint16 {
	switch {
	case l.MaxInflight != 0:
		return l.MaxInflight
	case v < packet.V5:
		return 20
	}
	return 1000
}

// sessionExpiry is how long the session survives the connection, in seconds.
func sessionExpiry(p *packet.Connect) uint32 {
	if p.Version >= packet.V5 {
		return p.SessionExpiry.Or(0)
	}
	if p.CleanStart { // [3.1.1: MQTT-3.1.2-6]
		return 0
	}
	return hub.NeverExpires // [3.1.1: MQTT-3.1.2-4]
}

// setKeepAlive bounds the keep-alive time, which a 5.0 client is told.
// [MQTT-3.1.2-21] [MQTT-3.2.2-21]
func (c *Conn) setKeepAlive(p *packet.Connect, ack *packet.Connack) {
	seconds := p.KeepAlive // [MQTT-3.2.2-22]
	if most := c.lim.MaxKeepAlive; most != 0 && p.Version >= packet.V5 && (seconds == 0 || seconds > most) {
		seconds = most
		ack.ServerKeepAlive = packet.Some(seconds)
	}
	c.keepAlive = int64(seconds) * 1500
}

func (c *Conn) startKeepAlive(now int64) {
	timers := c.srv.cfg.Hub.Timers()
	if c.keepAlive == 0 {
		timers.Stop(&c.timer)
		return
	}
	timers.Schedule(&c.timer, c, now+c.keepAlive)
}

// announce fills in what a 5.0 client is told about this broker.
func (c *Conn) announce(p *packet.Connect, ack *packet.Connack, clientID string) {
	if p.Version < packet.V5 {
		return
	}
	cfg := c.lim
	if most := cfg.receiveMaximum(); most != 65535 {
		ack.ReceiveMaximum = packet.Some(most)
	}
	if cfg.MaxQoS < 2 {
		ack.MaximumQoS = packet.Some(cfg.MaxQoS) // [MQTT-3.2.2-9]
	}
	if cfg.RetainOff {
		ack.RetainAvailable = packet.Some[byte](0)
	}
	if most := cfg.maxPacket(); most < packet.MaxVarint {
		ack.MaximumPacketSize = packet.Some(uint32(most))
	}
	if cfg.TopicAliases > 0 {
		ack.TopicAliasMaximum = packet.Some(cfg.TopicAliases)
	}
	if p.RequestResponseInfo.Or(0) == 1 && c.srv.cfg.ResponseInfo != nil { // [MQTT-3.1.2-28]
		ack.ResponseInfo = packet.Some(c.srv.cfg.ResponseInfo(clientID))
	}
	if c.auth != nil && c.auth.method != nil { // [MQTT-4.12.0-5] [MQTT-4.12.0-6]
		ack.AuthMethod = packet.Some(c.auth.method.Name())
		ack.AuthData = c.auth.reply
	}
}

// will turns the will of a CONNECT into what is published later.
func will(w *packet.Will) *store.Will {
	if w == nil {
		return nil
	}
	m := &message.Message{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain} // [MQTT-3.1.2-14] [MQTT-3.1.2-15]
	m.Props = willProps(w)
	return &store.Will{Message: m, Expiry: w.MessageExpiry, Delay: w.DelayInterval.Or(0)}
}

// willProps encodes the properties that the will's subscribers receive.
func willProps(w *packet.Will) []byte {
	p := packet.Publish{Topic: []byte("w")}
	p.PayloadFormat = w.PayloadFormat
	p.CorrelationData = w.CorrelationData
	if w.ContentType.Set {
		p.ContentType = []byte(w.ContentType.Value)
	}
	if w.ResponseTopic.Set {
		p.ResponseTopic = []byte(w.ResponseTopic.Value)
	}
	for _, u := range w.User { // [MQTT-3.1.3-10]
		p.User = append(p.User, packet.UserPair{Key: []byte(u.Key), Value: []byte(u.Value)})
	}
	raw := p.Append(nil, packet.V5)
	var back packet.Publish
	h, _, err := packet.ReadHeader(raw)
	if err == nil {
		err = back.Decode(h.Flags, raw[h.Size:], packet.V5)
	}
	if err != nil {
		panic("conn: a will that was decoded cannot be encoded: " + err.Error() + " " + strconv.Quote(w.Topic))
	}
	return back.Forward
}
