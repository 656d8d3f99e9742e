package packet

import "slices"

const (
	flagRetain = 0x01
	flagDup    = 0x08
)

// Publish carries an application message (5.0 section 3.3).
//
// After Decode every []byte in it is a part of body: it is valid only as long as body is, and must not be written to.
// A Publish that is decoded into again and again does not allocate once its slices have grown.
type Publish struct {
	Dup      bool
	QoS      byte // 0, 1 or 2
	Retain   bool
	Topic    []byte // empty only in 5.0 and only with a TopicAlias
	PacketID uint16 // 0 with QoS 0, else not 0
	PublishProperties
	Payload []byte
}

// PublishProperties are the properties of PUBLISH (5.0 section 3.3.2.3). A nil slice means absent; an empty one that is
// not nil is a property that is present and empty.
type PublishProperties struct {
	PayloadFormat   Opt[byte]   // 1: the payload is UTF-8
	MessageExpiry   Opt[uint32] // seconds
	TopicAlias      Opt[uint16] // not 0
	ResponseTopic   []byte
	CorrelationData []byte
	User            []UserPair // reused by Decode
	SubscriptionIDs []uint32   // reused by Decode; none is 0
	ContentType     []byte

	// Forward is what a Server must pass on unaltered, still encoded: every property but Topic Alias, Message Expiry
	// Interval and Subscription Identifier, in their original order, without the length in front. Decode sets it; it is
	// nil when there are none. It is a part of body unless one of the other three properties stands between them.
	//
	// When Forward is not nil, Append writes it in place of PayloadFormat, ResponseTopic, CorrelationData, User and
	// ContentType. Set it to nil after changing one of those.
	Forward []byte
}

// UserPair is a user property of a Publish, borrowed like everything in it.
type UserPair struct{ Key, Value []byte }

// Type is TypePublish.
func (p *Publish) Type() Type { return TypePublish }

// Append is described at Packet.
func (p *Publish) Append(dst []byte, v Version) []byte {
	size := 2 + len(p.Topic) + len(p.Payload)
	if p.QoS > 0 {
		size += 2
	}
	props := 0
	if v >= V5 {
		props = p.size()
		size += VarintSize(uint32(props)) + props
	}
	dst = append(slices.Grow(dst, 5+size), byte(TypePublish)<<4|p.flags())
	dst = AppendVarint(dst, uint32(min(size, MaxVarint+1)))
	dst = AppendBinary(dst, p.Topic)
	if p.QoS > 0 {
		dst = appendUint16(dst, p.PacketID)
	}
	if v >= V5 {
		dst = AppendVarint(dst, uint32(props))
		if props > 0 {
			dst = p.append(dst)
		}
	}
	return append(dst, p.Payload...)
}

func (p *Publish) flags() byte {
	flags := p.QoS << 1
	if p.Dup {
		flags |= flagDup
	}
	if p.Retain {
		flags |= flagRetain
	}
	return flags
}

// size is the number of bytes that append writes.
func (p *PublishProperties) size() int {
	n := 0
	if p.TopicAlias.Set {
		n += 3
	}
	if p.MessageExpiry.Set {
		n += 5
	}
	for _, id := range p.SubscriptionIDs {
		n += 1 + VarintSize(id)
	}
	if p.Forward != nil {
		return n + len(p.Forward)
	}
	if p.PayloadFormat.Set {
		n += 2
	}
	if p.ResponseTopic != nil {
		n += 3 + len(p.ResponseTopic)
	}
	if p.CorrelationData != nil {
		n += 3 + len(p.CorrelationData)
	}
	for i := range p.User {
		n += 5 + len(p.User[i].Key) + len(p.User[i].Value)
	}
	if p.ContentType != nil {
		n += 3 + len(p.ContentType)
	}
	return n
}

// append writes the properties: first those that belong to one hop, then those that travel with the message.
func (p *PublishProperties) append(dst []byte) []byte {
	dst = appendOptUint16(dst, PropTopicAlias, p.TopicAlias)
	dst = appendOptUint32(dst, PropMessageExpiry, p.MessageExpiry)
	for _, id := range p.SubscriptionIDs {
		dst = AppendVarint(append(dst, byte(PropSubscriptionID)), id)
	}
	if p.Forward != nil {
		return append(dst, p.Forward...)
	}
	dst = appendOptByte(dst, PropPayloadFormat, p.PayloadFormat)
	dst = appendOptBinary(dst, PropResponseTopic, p.ResponseTopic)
	dst = appendOptBinary(dst, PropCorrelationData, p.CorrelationData)
	for i := range p.User {
		dst = AppendBinary(append(dst, byte(PropUser)), p.User[i].Key)
		dst = AppendBinary(dst, p.User[i].Value)
	}
	return appendOptBinary(dst, PropContentType, p.ContentType)
}

func checkPublishFlags(flags byte) error {
	qos := flags >> 1 & 3
	if qos == 3 {
		return malformed("MQTT-3.3.1-4", "both QoS bits are set")
	}
	if qos == 0 && flags&flagDup != 0 {
		return malformed("MQTT-3.3.1-2", "DUP is set with QoS 0")
	}
	return nil
}

// Decode is described at Packet. It allocates nothing unless User or SubscriptionIDs have to grow, or the properties to
// forward do not stand together.
func (p *Publish) Decode(flags byte, body []byte, v Version) error {
	if flags&0x06 == 0x06 || flags&(flagDup|0x06) == flagDup {
		return checkPublishFlags(flags)
	}
	p.QoS = flags >> 1 & 3
	p.Dup = flags&flagDup != 0
	p.Retain = flags&flagRetain != 0
	p.reset()
	if len(body) < 2 {
		return truncated()
	}
	i := 2 + (int(body[0])<<8 | int(body[1]))
	if i > len(body) {
		return truncated()
	}
	topic := body[2:i:i] // [MQTT-3.3.2-1]
	p.Topic = topic
	if !plainTopic(topic) {
		if err := checkOddTopic(topic); err != nil {
			return err
		}
	}
	p.PacketID = 0 // [MQTT-2.2.1-2]
	if p.QoS != 0 {
		if i+2 > len(body) {
			return truncated()
		}
		p.PacketID = uint16(body[i])<<8 | uint16(body[i+1])
		if p.PacketID == 0 {
			return protocolError("MQTT-2.2.1-3", "packet identifier is 0")
		}
		i += 2
	}
	p.Payload = body[i:]
	if v >= V5 {
		if err := p.decodeProperties(); err != nil {
			return err
		}
	}
	if len(topic) == 0 && !p.TopicAlias.Set {
		return protocolError("MQTT-4.7.3-1", "topic name is empty")
	}
	return nil
}

// reset empties the properties. Before 5.0, and mostly in 5.0, there are none to clear, so that looking first is cheaper
// than writing pointers that are nil already.
func (p *PublishProperties) reset() {
	p.PayloadFormat, p.MessageExpiry, p.TopicAlias = Opt[byte]{}, Opt[uint32]{}, Opt[uint16]{}
	p.User, p.SubscriptionIDs = p.User[:0], p.SubscriptionIDs[:0]
	if p.ResponseTopic != nil || p.CorrelationData != nil || p.ContentType != nil || p.Forward != nil {
		p.ResponseTopic, p.CorrelationData, p.ContentType, p.Forward = nil, nil, nil, nil
	}
}

// decodeProperties moves the properties from the front of Payload into their fields.
func (p *Publish) decodeProperties() error {
	if len(p.Payload) > 0 && p.Payload[0] == 0 { // no properties, the usual case
		p.Payload = p.Payload[1:]
		return nil
	}
	r := reader{b: p.Payload}
	ps := r.properties(publishSet)
	r.fail(ps.err)
	if r.err != nil {
		return r.err
	}
	all := ps.b
	from, to := 0, 0 // all[from:to] is the latest run of properties to forward
	for ps.next() {
		start := len(all) - len(ps.b) - 1
		if !p.decodeProperty(&ps) {
			continue
		}
		end := len(all) - len(ps.b)
		if start != to && from != to {
			p.gather(all, from, to)
			from = start
		} else if from == to {
			from = start
		}
		to = end
	}
	if ps.err != nil {
		return ps.err
	}
	if p.Forward != nil {
		p.gather(all, from, to)
	} else if from != to {
		p.Forward = all[from:to:to]
	}
	p.Payload = r.b
	return nil
}

// gather adds a run to Forward, which gets memory of its own when there is more than one.
func (p *Publish) gather(all []byte, from, to int) {
	if p.Forward == nil {
		p.Forward = make([]byte, 0, len(all)-from)
	}
	p.Forward = append(p.Forward, all[from:to]...)
}

// decodeProperty reads one value and reports whether it is to be forwarded.
func (p *Publish) decodeProperty(ps *properties) (forward bool) {
	switch ps.id {
	case PropTopicAlias:
		p.TopicAlias = Some(ps.uint16())
		if p.TopicAlias.Value == 0 {
			ps.fail(&Error{TopicAliasInvalid, "MQTT-3.3.2-8", "Topic Alias is 0"})
		}
		return false
	case PropMessageExpiry:
		p.MessageExpiry = Some(ps.uint32())
		return false
	case PropSubscriptionID:
		p.SubscriptionIDs = append(p.SubscriptionIDs, ps.subscriptionID())
		return false
	case PropPayloadFormat:
		p.PayloadFormat = ps.flag()
	case PropResponseTopic:
		p.ResponseTopic = ps.responseTopic()
	case PropCorrelationData:
		p.CorrelationData = ps.binary()
	case PropUser:
		p.User = append(p.User, UserPair{Key: ps.text(), Value: ps.text()})
	case PropContentType:
		p.ContentType = ps.text() // [MQTT-3.3.2-19]
	}
	return true
}
