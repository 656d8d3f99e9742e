package model

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// Step is something that happens. Steps hold small numbers only, and mean
// something after any other step: At picks among the clients that are connected,
// Which among what there is; where there is nothing they do nothing.
type Step interface{ play(p *play) error }

// Connect is a CONNECT, whether or not the client is connected already.
type Connect struct {
	Client    int
	V5, Clean bool
	Expiry    uint32 // seconds; before 5.0 the session lasts for ever unless Clean
	Window    uint16 // Receive Maximum, 0: not said
	Aliases   uint16 // Topic Alias Maximum
	OtherUser bool
	Will      *Will
}

// Will is the will of a Connect. Delay and Expiry are seconds.
type Will struct {
	Message Message
	Delay   uint32
}

// Message is a message to publish.
type Message struct {
	Topic  int
	QoS    byte
	Retain bool
	Empty  bool
	Expiry uint32 // seconds, 0: none
	Alias  uint16 // 0: none
}

var (
	topics  = []string{"a", "a/b", "a/b/c", "b", "$x/a"}
	filters = []string{"a/b", "a/#", "#", "a/+", "b", "+", "$x/#", "a", "$share/g/a/#", "$share/g/a/b", "$share/h/#", "$share/h/b"}
)

func userOf(other bool) string {
	if other {
		return "eve"
	}
	return "alice"
}

func (s Connect) play(p *play) error {
	c := p.clients[s.Client]
	conn, err := p.w.Dial()
	if err != nil {
		return err
	}
	k := &packet.Connect{
		Version: packet.V311, CleanStart: s.Clean, ClientID: c.id,
		Username: packet.Some(userOf(s.OtherUser)), Password: packet.Some([]byte("secret")),
	}
	o := opening{id: c.id, user: userOf(s.OtherUser), version: packet.V311, clean: s.Clean, window: 65535}
	switch {
	case s.V5:
		s.properties(p, k, &o)
	case !s.Clean: // [3.1.1: MQTT-3.1.2-4]
		o.expiry = never
	}
	if w := s.Will; w != nil {
		k.Will = w.packet(p, &o)
	}
	accepted, present, replies := p.ref.connect(o)
	l := newLink(conn, o.version)
	l.maximum = s.Aliases
	ack := reply{typ: packet.TypeConnack, codes: []packet.Code{packet.NotAuthorized}}
	if !accepted { // [MQTT-3.1.4-2]
		l.closing, l.replies = true, []reply{ack}
		p.closed = append(p.closed, l)
		p.logf("  %s> %s", c.id, "CONNECT of another user")
		_, err = conn.Write(k.Append(nil, 0))
		return err
	}
	if c.link != nil {
		p.abandon(c, packet.SessionTakenOver)
	}
	c.connect(l, p.ref.sessions[c.id], present)
	ack.codes, ack.present = []packet.Code{packet.Success}, present
	return p.send(c, append([]reply{ack}, replies...), k)
}

// connect gives the client its new connection.
func (c *client) connect(l *link, s *session, present bool) {
	c.link, c.session = l, s
	c.todo, c.alias = nil, make(map[uint16]string)
	if !present {
		c.open, c.done = nil, nil
	}
}

// abandon leaves a connection that the broker is to close.
func (p *play) abandon(c *client, code packet.Code) {
	l := c.link
	c.link, l.closing = nil, true
	if l.version >= packet.V5 && code != 0 { // [MQTT-3.14.0-1]
		l.replies = append(l.replies, reply{typ: packet.TypeDisconnect, codes: []packet.Code{code}})
	}
	p.closed = append(p.closed, l)
}

func (s Connect) properties(p *play, k *packet.Connect, o *opening) {
	k.Version, o.version = packet.V5, packet.V5
	if s.Expiry > 0 {
		k.SessionExpiry = packet.Some(p.seconds(s.Expiry))
		o.expiry = p.ms(s.Expiry)
	}
	if s.Window > 0 {
		k.ReceiveMaximum = packet.Some(s.Window)
		o.window = int(s.Window)
	}
	if s.Aliases > 0 {
		k.TopicAliasMaximum = packet.Some(s.Aliases)
	}
}

func (w *Will) packet(p *play, o *opening) *packet.Will {
	m := &w.Message
	p.number++
	out := &packet.Will{Topic: topics[m.Topic], Payload: p.payload(m), QoS: m.QoS, Retain: m.Retain}
	o.will = &will{message: message{topic: out.Topic, payload: string(out.Payload), qos: m.QoS, retain: m.Retain}}
	if o.version < packet.V5 {
		return out
	}
	if m.Expiry > 0 {
		out.MessageExpiry = packet.Some(p.seconds(m.Expiry))
		o.will.expiry = p.ms(m.Expiry)
	}
	if w.Delay > 0 {
		out.DelayInterval = packet.Some(p.seconds(w.Delay))
		o.will.delay = p.ms(w.Delay)
	}
	o.will.user = strconv.Itoa(p.number)
	out.User = []packet.UserProperty{{Key: "n", Value: o.will.user}}
	return out
}

// seconds stretches a time where it passes by itself, so that it never ends.
func (p *play) seconds(s uint32) uint32 {
	if p.w.Pass == nil {
		return 3600 * s
	}
	return s
}

func (p *play) ms(s uint32) int64 { return int64(p.seconds(s)) * 1000 }

func (p *play) payload(m *Message) []byte {
	if m.Empty {
		return nil
	}
	return fmt.Appendf(nil, "m%d", p.number)
}

// Subscribe is a SUBSCRIBE with some filters.
type Subscribe struct {
	At      int
	ID      uint32 // Subscription Identifier, 0: none
	Filters []Filter
}

// Filter is one of them.
type Filter struct {
	Filter int
	packet.Options
}

func (s Subscribe) play(p *play) error {
	c := p.at(s.At)
	if c == nil {
		return nil
	}
	k := &packet.Subscribe{PacketID: c.nextID()}
	v5 := c.link.version >= packet.V5
	if v5 && s.ID > 0 {
		k.SubscriptionID = packet.Some(s.ID)
	}
	r := reply{typ: packet.TypeSuback, id: k.PacketID} // [MQTT-3.8.4-1] [MQTT-3.8.4-2]
	for _, f := range s.Filters {
		name, o := filters[f.Filter], f.Options
		if !v5 {
			o = packet.Options{QoS: o.QoS}
		}
		if share, _ := splitShare(name); share != "" {
			o.NoLocal = false // [MQTT-3.8.3-4]
		}
		k.Filters = append(k.Filters, packet.SubscribeFilter{Filter: name, Options: o})
		r.codes = append(r.codes, p.ref.subscribe(c.session, name, o, k.SubscriptionID.Or(0)))
	}
	return p.send(c, []reply{r}, k)
}

// Unsubscribe is an UNSUBSCRIBE.
type Unsubscribe struct {
	At      int
	Filters []int
}

func (s Unsubscribe) play(p *play) error {
	c := p.at(s.At)
	if c == nil {
		return nil
	}
	k := &packet.Unsubscribe{PacketID: c.nextID()}
	r := reply{typ: packet.TypeUnsuback, id: k.PacketID} // [MQTT-3.10.4-4] [MQTT-3.10.4-5]
	for _, f := range s.Filters {
		k.Filters = append(k.Filters, filters[f])
		r.codes = append(r.codes, p.ref.unsubscribe(c.session, filters[f]))
	}
	return p.send(c, []reply{r}, k)
}

// Publish publishes messages with one write.
type Publish struct {
	At       int
	Messages []Message
}

// receiveMaximum is what the broker is configured to take of QoS 1 and 2.
const receiveMaximum = 8

func (s Publish) play(p *play) error {
	c := p.at(s.At)
	if c == nil {
		return nil
	}
	var out []packet.Packet
	var replies []reply
	for i := range s.Messages {
		m := &s.Messages[i]
		if m.QoS > 0 && len(c.open)+len(out) >= receiveMaximum { // [MQTT-3.3.4-7]
			break
		}
		k, owed := p.message(c, m)
		replies = append(replies, p.ref.receive(c.session, owed, k.PacketID)...)
		if k.QoS == 2 {
			c.open = append(c.open, *k)
		}
		out = append(out, k)
	}
	return p.send(c, replies, out...)
}

func (p *play) message(c *client, m *Message) (*packet.Publish, *message) {
	p.number++
	k := &packet.Publish{Topic: []byte(topics[m.Topic]), Payload: p.payload(m), QoS: m.QoS, Retain: m.Retain}
	owed := &message{from: c.id, topic: topics[m.Topic], payload: string(k.Payload), qos: m.QoS, retain: m.Retain}
	if m.QoS > 0 {
		k.PacketID = c.nextID()
	}
	if c.link.version < packet.V5 {
		return k, owed
	}
	owed.user = strconv.Itoa(p.number)
	k.User = []packet.UserPair{{Key: []byte("n"), Value: []byte(owed.user)}}
	if m.Expiry > 0 {
		k.MessageExpiry = packet.Some(p.seconds(m.Expiry))
		owed.expires = p.ref.now + p.ms(m.Expiry)
	}
	if m.Alias > 0 {
		k.TopicAlias = packet.Some(m.Alias)
		if c.alias[m.Alias] == owed.topic {
			k.Topic = nil
		}
		c.alias[m.Alias] = owed.topic
	}
	return k, owed
}

// nextID returns a Packet Identifier that is not in use. [MQTT-2.2.1-3]
func (c *client) nextID() uint16 {
	for {
		c.ids = c.ids%20 + 1 // few, so that they come again
		if !slices.ContainsFunc(c.open, func(k packet.Publish) bool { return k.PacketID == c.ids }) {
			return c.ids
		}
	}
}

// Repeat sends a PUBLISH of QoS 2 again that has not been completed.
type Repeat struct{ At, Which int }

func (s Repeat) play(p *play) error {
	c := p.at(s.At)
	if c == nil || len(c.open) == 0 {
		return nil
	}
	k := c.open[s.Which%len(c.open)]
	if k.Topic == nil || k.TopicAlias.Set || !c.session.incoming[k.PacketID] {
		return nil // its alias may mean something else now
	}
	k.Dup = true
	return p.send(c, p.ref.receive(c.session, &message{qos: 2}, k.PacketID), &k)
}

// Release is a PUBREL.
type Release struct{ At, Which int }

func (s Release) play(p *play) error {
	c := p.at(s.At)
	if c == nil {
		return nil
	}
	k := &packet.Pubrel{PacketID: 99} // unknown to the broker
	if n := len(c.open); n > 0 {
		i := s.Which % n
		k.PacketID = c.open[i].PacketID
		c.open = slices.Delete(c.open, i, i+1)
	}
	return p.send(c, p.ref.release(c.session, k.PacketID), k)
}

// Acknowledge answers one packet, in any order; Refuse says no to a message.
type Acknowledge struct {
	At, Which int
	Refuse    bool
}

func (s Acknowledge) play(p *play) error {
	c := p.at(s.At)
	if c == nil || len(c.todo) == 0 {
		return nil
	}
	i := s.Which % len(c.todo)
	a := c.todo[i]
	c.todo = slices.Delete(c.todo, i, i+1)
	c.done = append(c.done, a)
	return p.acknowledge(c, s.Refuse, a)
}

// AcknowledgeAll answers everything with one write.
type AcknowledgeAll struct{ At int }

func (s AcknowledgeAll) play(p *play) error {
	c := p.at(s.At)
	if c == nil || len(c.todo) == 0 {
		return nil
	}
	all := c.todo
	c.todo = nil
	c.done = append(c.done, all...)
	return p.acknowledge(c, false, all...)
}

// AcknowledgeAgain repeats an acknowledgement.
type AcknowledgeAgain struct{ At, Which int }

func (s AcknowledgeAgain) play(p *play) error {
	c := p.at(s.At)
	if c == nil || len(c.done) == 0 {
		return nil
	}
	return p.acknowledge(c, false, c.done[s.Which%len(c.done)])
}

func (p *play) acknowledge(c *client, refuse bool, acks ...ack) error {
	var out []packet.Packet
	var replies []reply
	for _, a := range acks {
		code := packet.Success
		if refuse && c.link.version >= packet.V5 && a.typ != packet.TypePubcomp {
			code = packet.QuotaExceeded
		}
		replies = append(replies, p.ref.acknowledge(c.session, a.typ, a.id, code)...)
		switch k := (packet.Ack{PacketID: a.id, Code: code}); a.typ {
		case packet.TypePuback:
			out = append(out, (*packet.Puback)(&k))
		case packet.TypePubrec:
			out = append(out, (*packet.Pubrec)(&k))
		case packet.TypePubcomp:
			out = append(out, (*packet.Pubcomp)(&k))
		}
	}
	return p.send(c, replies, out...)
}

// Drop is the end of a connection without DISCONNECT.
type Drop struct{ At int }

func (s Drop) play(p *play) error {
	c := p.at(s.At)
	if c == nil {
		return nil
	}
	p.logf("  %s drops", c.id)
	l := c.link
	c.link = nil
	p.ref.leave(c.id, false, -1)
	if half, ok := l.conn.(interface{ CloseWrite() error }); ok && p.w.Settle == nil {
		l.closing = true
		p.closed = append(p.closed, l)
		return half.CloseWrite()
	}
	l.close()
	return nil
}

// Disconnect is a DISCONNECT. SetExpiry gives the session a new Expiry.
type Disconnect struct {
	At        int
	WithWill  bool
	SetExpiry bool
	Expiry    uint32
}

func (s Disconnect) play(p *play) error {
	c := p.at(s.At)
	if c == nil {
		return nil
	}
	k := &packet.Disconnect{}
	expiry := int64(-1)
	if c.link.version >= packet.V5 {
		if s.WithWill {
			k.Code = packet.DisconnectWithWill
		}
		if s.SetExpiry && c.session.expiry > 0 { // else it would be a Protocol Error
			k.SessionExpiry = packet.Some(p.seconds(s.Expiry))
			expiry = p.ms(s.Expiry)
		}
	}
	if err := p.send(c, nil, k); err != nil {
		return err
	}
	p.abandon(c, 0)
	p.ref.leave(c.id, k.Code == packet.Success, expiry) // [MQTT-3.14.4-3]
	return nil
}

// Pass lets seconds pass, and a little more where it would not be clear whether
// something is due already.
type Pass struct{ Seconds int }

func (s Pass) play(p *play) error {
	if p.w.Pass == nil {
		return nil
	}
	start := p.ref.now
	p.ref.advance(start + int64(s.Seconds)*1000)
	for p.ref.unclear() {
		p.ref.advance(p.ref.now + 250)
	}
	p.logf("  advance %v", time.Duration(p.ref.now-start)*time.Millisecond)
	p.w.Pass(time.Duration(p.ref.now-start) * time.Millisecond)
	return nil
}

// Restart ends the broker and starts it again, after all connections have
// dropped.
type Restart struct{}

func (s Restart) play(p *play) error {
	if p.w.Restart == nil {
		return nil
	}
	for p.at(0) != nil {
		if err := p.do(Drop{}); err != nil {
			return err
		}
	}
	return p.w.Restart()
}
