package packet

import "slices"

// Subscribe asks for messages (5.0 section 3.8). The codec does not know the syntax of wildcards.
type Subscribe struct {
	PacketID       uint16      // not 0
	SubscriptionID Opt[uint32] // not 0
	User           []UserProperty
	Filters        []SubscribeFilter // at least one
}

// SubscribeFilter is one subscription of a Subscribe.
type SubscribeFilter struct {
	Filter string // not empty
	Options
}

// Options are the subscription options. Before 5.0 there is only QoS.
type Options struct {
	QoS               byte // the highest QoS that is wanted: 0, 1 or 2
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0 send retained, 1 send if the subscription is new, 2 do not send
}

// Type is TypeSubscribe.
func (s *Subscribe) Type() Type { return TypeSubscribe }

// Byte is the form of the options on the wire.
func (o Options) Byte() byte {
	b := o.QoS | o.RetainHandling<<4
	if o.NoLocal {
		b |= 0x04
	}
	if o.RetainAsPublished {
		b |= 0x08
	}
	return b
}

// Append is described at Packet.
func (s *Subscribe) Append(dst []byte, v Version) []byte {
	dst, packet := open(dst, TypeSubscribe)
	dst = appendUint16(dst, s.PacketID)
	if v >= V5 {
		var props int
		dst, props = openLength(dst)
		if s.SubscriptionID.Set {
			dst = AppendVarint(append(dst, byte(PropSubscriptionID)), s.SubscriptionID.Value)
		}
		dst = closeLength(appendUser(dst, s.User), props)
	}
	for _, f := range s.Filters {
		dst = AppendString(dst, f.Filter)
		if v >= V5 {
			dst = append(dst, f.Options.Byte())
		} else {
			dst = append(dst, f.QoS)
		}
	}
	return closeLength(dst, packet)
}

// Decode is described at Packet.
func (s *Subscribe) Decode(flags byte, body []byte, v Version) error {
	*s = Subscribe{User: s.User[:0], Filters: s.Filters[:0]}
	if err := checkFlags(TypeSubscribe, flags, v); err != nil {
		return err
	}
	r := reader{b: body}
	s.PacketID = r.packetID()
	if v >= V5 {
		s.decodeProperties(&r)
	}
	s.Filters = slices.Grow(s.Filters, countStrings(r.b, 1))
	for len(r.b) > 0 {
		f := SubscribeFilter{Filter: r.filter()}
		f.Options = r.options(v)
		s.Filters = append(s.Filters, f)
	}
	if r.err == nil && len(s.Filters) == 0 {
		r.fail(protocolError("MQTT-3.8.3-2", "SUBSCRIBE without a Topic Filter"))
	}
	return r.end()
}

func (s *Subscribe) decodeProperties(r *reader) {
	ps := r.properties(subscribeSet)
	for ps.next() {
		switch ps.id {
		case PropSubscriptionID:
			s.SubscriptionID = Some(ps.subscriptionID())
		case PropUser:
			s.User = append(s.User, ps.user())
		}
	}
	r.fail(ps.err)
}

// filter reads a Topic Filter of at least one character into fresh memory [MQTT-3.8.3-1] [MQTT-3.10.3-1].
func (r *reader) filter() string {
	b := r.text()
	if len(b) == 0 && r.err == nil {
		r.fail(&Error{TopicFilterInvalid, "MQTT-4.7.3-1", "Topic Filter is empty"})
	}
	return string(b)
}

// options reads the byte behind a Topic Filter. Before 5.0 all of it but the QoS is reserved [3.1.1: MQTT-3.8.3-4].
func (r *reader) options(v Version) Options {
	b := r.byte()
	reserved := byte(0xC0)
	if v < V5 {
		reserved = 0xFC
	}
	o := Options{
		QoS:               b & 0x03,
		NoLocal:           b&0x04 != 0,
		RetainAsPublished: b&0x08 != 0,
		RetainHandling:    b >> 4 & 0x03,
	}
	switch {
	case b&reserved != 0:
		r.fail(malformed("MQTT-3.8.3-5", "reserved bit of the Subscription Options is set"))
	case o.QoS == 3:
		r.fail(protocolError("3.8.3.1", "requested QoS is 3"))
	case o.RetainHandling == 3:
		r.fail(protocolError("3.8.3.1", "Retain Handling is 3"))
	}
	return o
}
