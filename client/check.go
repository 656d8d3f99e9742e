package client

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// rest is an upper bound of a packet's bytes beside its strings and its payload.
const rest = 64

// lengths collects the strings of a packet. The codec cannot write one that is too long.
type lengths struct {
	longest, sum int
}

func (l *lengths) add(n int) {
	l.longest = max(l.longest, n)
	l.sum += n + 5
}

func (l *lengths) user(list []packet.UserProperty) {
	for _, u := range list {
		l.add(len(u.Key))
		l.add(len(u.Value))
	}
}

// check refuses what does not fit into a packet.
func (l *lengths) check(op string) error {
	switch {
	case l.longest > packet.MaxString:
		return &Error{Op: op, Code: packet.MalformedPacket, Reason: fmt.Sprintf("a string of %d bytes; the most is %d", l.longest, packet.MaxString)}
	case l.sum+rest > packet.MaxVarint:
		return &Error{Op: op, Code: packet.PacketTooLarge, Reason: "larger than a packet can be"}
	}
	return nil
}

// checkAuth refuses authentication data that does not fit into a packet.
func checkAuth(data []byte) error {
	var l lengths
	l.add(len(data))
	return l.check("authenticate")
}

// checkProperties refuses a message that does not fit into a packet, or with properties for which a server must end the
// connection. Its topic is known to fit.
func checkProperties(p *packet.Publish) error {
	const op = "publish"
	l := lengths{sum: len(p.Topic) + len(p.Payload)}
	if p.Forward != nil {
		l.sum += len(p.Forward)
		return l.check(op)
	}
	if p.ResponseTopic == nil && p.CorrelationData == nil && p.ContentType == nil && len(p.User) == 0 && !p.PayloadFormat.Set {
		return l.check(op)
	}
	for _, n := range [...]int{len(p.ResponseTopic), len(p.CorrelationData), len(p.ContentType)} {
		l.add(n)
	}
	text := packet.ValidUTF8(p.ContentType) // [MQTT-3.3.2-19]
	for _, u := range p.User {              // [MQTT-1.5.7-1]
		l.add(len(u.Key))
		l.add(len(u.Value))
		text = text && packet.ValidUTF8(u.Key) && packet.ValidUTF8(u.Value)
	}
	if err := l.check(op); err != nil {
		return err
	}
	switch {
	case !text:
		return &Error{Op: op, Code: packet.MalformedPacket, Reason: "a property is not UTF-8"}
	case p.PayloadFormat.Value > 1:
		return &Error{Op: op, Code: packet.ProtocolError, Reason: "Payload Format Indicator is 0 or 1"}
	case p.ResponseTopic == nil:
		return nil
	}
	// [MQTT-3.3.2-13] [MQTT-3.3.2-14]
	if err := topic.ValidateNameDepth(p.ResponseTopic, topic.MaxLength); err != nil || !packet.ValidUTF8(p.ResponseTopic) {
		return &Error{Op: op, Code: packet.TopicNameInvalid, Reason: "Response Topic is no topic name"}
	}
	return nil
}

// checkConnect refuses options that make no CONNECT.
func checkConnect(p *packet.Connect) error {
	const op = "connect"
	var l lengths
	for _, n := range [...]int{len(p.ClientID), len(p.Username.Value), len(p.Password.Value), len(p.AuthMethod.Value), len(p.AuthData)} {
		l.add(n)
	}
	l.user(p.User)
	if w := p.Will; w != nil {
		for _, n := range [...]int{len(w.Topic), len(w.Payload), len(w.ContentType.Value), len(w.ResponseTopic.Value), len(w.CorrelationData)} {
			l.add(n)
		}
		l.user(w.User)
		if w.QoS > 2 { // [MQTT-3.1.2-12]
			return &Error{Op: op, Code: packet.QoSNotSupported, Reason: "QoS of the Will is 0, 1 or 2"}
		}
	}
	if err := l.check(op); err != nil {
		return err
	}
	return wellFormed(op, p, p.Version)
}

// checkSubscribe refuses a SUBSCRIBE for which a server must end the connection.
func checkSubscribe(p *packet.Subscribe) error {
	var l lengths
	l.user(p.User)
	for _, f := range p.Filters {
		op := subscribing(f.Filter)
		if _, err := topic.ParseFilterDepth(f.Filter, topic.MaxLength); err != nil {
			return &Error{Op: op, Code: packet.TopicFilterInvalid, Reason: err.Error()}
		}
		if f.NoLocal && strings.HasPrefix(f.Filter, "$share/") { // [MQTT-3.8.3-4]
			return &Error{Op: op, Code: packet.ProtocolError, Reason: "No Local on a shared subscription"}
		}
		if f.QoS > 2 {
			return &Error{Op: op, Code: packet.ProtocolError, Reason: "QoS is 0, 1 or 2"}
		}
		if f.RetainHandling > 2 {
			return &Error{Op: op, Code: packet.ProtocolError, Reason: "Retain Handling is 0, 1 or 2"}
		}
		l.add(len(f.Filter))
	}
	if p.SubscriptionID.Value > packet.MaxVarint {
		return &Error{Op: "subscribe", Code: packet.ProtocolError, Reason: fmt.Sprintf("Subscription Identifier above %d", packet.MaxVarint)}
	}
	if err := l.check("subscribe"); err != nil {
		return err
	}
	q := *p
	q.PacketID = 1
	return wellFormed("subscribe", &q, packet.V5) // [MQTT-3.8.3-2]
}

// checkOffered refuses what the server has said it does not do, for which it would end the connection.
func (c *Client) checkOffered(p *packet.Subscribe) error {
	a := &c.connack
	if p.SubscriptionID.Set && a.SubscriptionIDAvailable.Or(1) == 0 { // 5.0 section 3.2.2.3.12
		return &Error{Op: "subscribe", Code: packet.SubscriptionIdentifiersNotSupported}
	}
	for _, f := range p.Filters {
		shared := strings.HasPrefix(f.Filter, "$share/")
		switch {
		case shared && a.SharedAvailable.Or(1) == 0: // 5.0 section 3.2.2.3.13
			return &Error{Op: subscribing(f.Filter), Code: packet.SharedSubscriptionsNotSupported}
		case strings.ContainsAny(f.Filter, "+#") && a.WildcardAvailable.Or(1) == 0: // 5.0 section 3.2.2.3.11
			return &Error{Op: subscribing(f.Filter), Code: packet.WildcardSubscriptionsNotSupported}
		}
	}
	return nil
}

func checkUnsubscribe(p *packet.Unsubscribe) error {
	var l lengths
	l.user(p.User)
	for _, f := range p.Filters {
		if _, err := topic.ParseFilterDepth(f, topic.MaxLength); err != nil {
			return &Error{Op: fmt.Sprintf("unsubscribe %q", f), Code: packet.TopicFilterInvalid, Reason: err.Error()}
		}
		l.add(len(f))
	}
	if err := l.check("unsubscribe"); err != nil {
		return err
	}
	q := *p
	q.PacketID = 1
	return wellFormed("unsubscribe", &q, packet.V5) // [MQTT-3.10.3-2]
}

// wellFormed refuses a packet that we would not accept ourselves.
func wellFormed(op string, p packet.Packet, v packet.Version) error {
	b := p.Append(nil, v)
	h, _, err := packet.ReadHeader(b)
	if err == nil {
		_, err = packet.Decode(h, b[h.Size:], v)
	}
	var bad *packet.Error
	if errors.As(err, &bad) {
		return &Error{Op: op, Code: bad.Code, Reason: bad.Msg}
	}
	return err
}
