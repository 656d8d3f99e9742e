package message

import (
	"math"

	"github.com/nightjarmq/nightjar/packet"
)

// Message is an application message that somebody keeps. It is immutable and
// may be shared without a lock.
type Message struct {
	Topic   string
	Payload []byte

	// Props are the encoded properties that are passed on unaltered, without
	// their length; nil for a message published before 5.0.
	Props []byte

	// Expires is the unix time in milliseconds from which the message is no
	// longer delivered; 0 means never. [MQTT-3.3.2-5]
	Expires int64

	QoS    byte // as published
	Retain bool // as published; a receiver sees it only with Retain As Published
}

// Copy says how a message goes to one receiver.
type Copy struct {
	Version  packet.Version
	QoS      byte
	Dup      bool
	Retain   bool
	PacketID uint16   // with QoS 1 and 2
	IDs      []uint32 // Subscription Identifiers, 5.0 only
	Alias    uint16   // Topic Alias, 0 for none, 5.0 only
	NoTopic  bool     // the receiver knows the alias: the topic stays empty

	// Mount is what is taken off the front of the topic; a message whose topic does
	// not begin with it, or is nothing else, cannot be said to the receiver.
	Mount string
}

// Append writes m as a PUBLISH packet for the receiver that c describes. now is
// unix milliseconds: the interval sent is what remains. [MQTT-3.3.2-6]
// It writes nothing if the packet cannot be said: it would exceed the protocol's
// bound, since a message grows by what a receiver's version and identifiers add,
// or its topic is outside of the receiver's mount point.
func (m *Message) Append(dst []byte, c *Copy, now int64) []byte {
	return appendPublish(dst, m.Topic, m.Payload, m.Props, m.Expires, c, now)
}

// Expired reports whether m must no longer be delivered at the unix
// millisecond now. [MQTT-3.3.2-5]
func (m *Message) Expired(now int64) bool { return m.Expires != 0 && now >= m.Expires }

// overhead is what a kept message costs beside its bytes: the struct and the
// slots that point at it.
const overhead = 128

// Size is what keeping m costs, in bytes. Queues and budgets are counted in it.
func (m *Message) Size() int { return len(m.Topic) + len(m.Payload) + len(m.Props) + overhead }

// Identifiers of the three properties that the broker writes itself.
const (
	propMessageExpiry  = 0x02
	propSubscriptionID = 0x0B
	propTopicAlias     = 0x23
)

func appendPublish[T ~string | ~[]byte](dst []byte, topic T, payload, props []byte, expires int64, c *Copy, now int64) []byte {
	if n := len(c.Mount); n > 0 {
		if len(topic) <= n || string(topic[:n]) != c.Mount {
			return dst
		}
		topic = topic[n:]
	}
	if c.NoTopic {
		topic = topic[:0]
	}
	n := 2 + len(topic) + len(payload)
	if c.QoS > 0 {
		n += 2
	}
	own := 0
	if c.Version == packet.V5 {
		own = c.propSize(expires)
		n += packet.VarintSize(uint32(own+len(props))) + own + len(props)
	}
	if n > packet.MaxVarint {
		return dst
	}
	dst = append(dst, fixedHeader(c))
	dst = packet.AppendVarint(dst, uint32(n))
	dst = append(dst, byte(len(topic)>>8), byte(len(topic)))
	dst = append(dst, topic...)
	if c.QoS > 0 {
		dst = append(dst, byte(c.PacketID>>8), byte(c.PacketID))
	}
	if c.Version == packet.V5 {
		dst = packet.AppendVarint(dst, uint32(own+len(props)))
		dst = c.appendProps(dst, expires, now)
		dst = append(dst, props...)
	}
	return append(dst, payload...)
}

func fixedHeader(c *Copy) byte {
	h := byte(packet.TypePublish)<<4 | c.QoS<<1
	if c.Dup {
		h |= 8
	}
	if c.Retain {
		h |= 1
	}
	return h
}

func (c *Copy) propSize(expires int64) int {
	n := 0
	if expires != 0 {
		n += 5
	}
	if c.Alias != 0 {
		n += 3
	}
	for _, id := range c.IDs {
		n += 1 + packet.VarintSize(id)
	}
	return n
}

func (c *Copy) appendProps(dst []byte, expires, now int64) []byte {
	if expires != 0 {
		left := remaining(expires, now)
		dst = append(dst, propMessageExpiry, byte(left>>24), byte(left>>16), byte(left>>8), byte(left))
	}
	if c.Alias != 0 {
		dst = append(dst, propTopicAlias, byte(c.Alias>>8), byte(c.Alias))
	}
	for _, id := range c.IDs { // [MQTT-3.3.4-3] [MQTT-3.3.4-4]
		dst = append(dst, propSubscriptionID)
		dst = packet.AppendVarint(dst, id)
	}
	return dst
}

// remaining is the Message Expiry Interval in seconds that is left, rounded up
// so that a message that may still be delivered never says 0. [MQTT-3.3.2-6]
func remaining(expires, now int64) uint32 {
	left := (expires - now + 999) / 1000
	return uint32(min(max(left, 0), math.MaxUint32))
}
