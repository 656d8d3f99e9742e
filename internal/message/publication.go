package message

import (
	"unsafe"

	"github.com/nightjarmq/nightjar/packet"
)

// Publication is a message on its way from its publisher to its receivers. The
// bytes belong to the publisher's read buffer and are valid until its Feed
// returns; [Publication.Keep] makes a copy that stays. One goroutine uses it at
// a time, and reuses it for the next message.
type Publication struct {
	Topic   []byte
	Payload []byte
	Props   []byte // see Message.Props
	Expires int64  // see Message.Expires
	QoS     byte
	Retain  bool
	Now     int64 // unix milliseconds at which it arrived

	kept    *Message
	frames  [8][]byte // encoded once per version class, QoS and retain flag
	buf     []byte    // what frames that are not the raw packet lie in
	bufUsed int
}

// Set makes p the message of a PUBLISH packet. raw is the whole packet as it
// came in version v, or nil; a receiver who needs exactly these bytes is given
// them. All bytes are borrowed and raw may be written to: its packet identifier
// is patched for each receiver.
func (p *Publication) Set(in *packet.Publish, raw []byte, v packet.Version, now int64) {
	p.Topic, p.Payload, p.Props = in.Topic, in.Payload, in.Forward // Forward has the properties as they came, in their order [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
	p.QoS, p.Retain, p.Now = in.QoS, in.Retain, now
	p.Expires = 0
	if in.MessageExpiry.Set {
		p.Expires = now + int64(in.MessageExpiry.Value)*1000
	}
	p.forget()
	if raw == nil || in.Dup || in.Retain {
		return
	}
	if v == packet.V5 && (in.TopicAlias.Set || in.MessageExpiry.Set) {
		return
	}
	p.frames[frameIndex(v, in.QoS, false)] = raw
}

// SetKept makes p the message m, which is delivered now.
func (p *Publication) SetKept(m *Message, now int64) {
	p.Topic, p.Payload, p.Props = []byte(m.Topic), m.Payload, m.Props
	p.QoS, p.Retain, p.Expires, p.Now = m.QoS, m.Retain, m.Expires, now
	p.forget()
	p.kept = m
}

func (p *Publication) forget() {
	p.kept = nil
	clear(p.frames[:])
	p.bufUsed = 0
	if cap(p.buf) > keepBuffer {
		p.buf = nil
	}
}

// keepBuffer is the size up to which the memory for frames is used again.
const keepBuffer = 256 << 10

// Keep returns the message as one that may be kept, made at the first call and
// shared by all that keep it.
func (p *Publication) Keep() *Message {
	if p.kept != nil {
		return p.kept
	}
	topic, body := len(p.Topic), len(p.Topic)+len(p.Payload)
	m, b := allocate(body + len(p.Props))
	b = append(b, p.Topic...)
	b = append(b, p.Payload...)
	b = append(b, p.Props...)
	m.Topic = unsafe.String(unsafe.SliceData(b), topic) // nobody writes to b any more
	m.Payload = b[topic:body:body]
	if len(p.Props) > 0 {
		m.Props = b[body:]
	}
	m.Expires, m.QoS, m.Retain = p.Expires, p.QoS, p.Retain
	p.kept = m
	return m
}

// allocate makes a message and room for n bytes of it, in one piece while it is
// small: keeping is the dearest step of QoS 1 and 2. The sizes fill the size
// classes of the allocator.
func allocate(n int) (*Message, []byte) {
	const header = unsafe.Sizeof(Message{})
	switch {
	case n <= int(128-header):
		k := new(struct {
			Message
			b [128 - header]byte
		})
		return &k.Message, k.b[:0]
	case n <= int(192-header):
		k := new(struct {
			Message
			b [192 - header]byte
		})
		return &k.Message, k.b[:0]
	case n <= int(320-header):
		k := new(struct {
			Message
			b [320 - header]byte
		})
		return &k.Message, k.b[:0]
	}
	return new(Message), make([]byte, 0, n)
}

// Size is what keeping p would cost; see [Message.Size].
func (p *Publication) Size() int { return len(p.Topic) + len(p.Payload) + len(p.Props) + overhead }

// frameIndex numbers the encodings that many receivers share. QoS 0 with and
// without retain, QoS 1 and 2 with and without, in two version classes would be
// twelve; QoS 1 and 2 share a slot per flag pair since they differ in one bit
// of the first byte, which Frame sets.
func frameIndex(v packet.Version, qos byte, retain bool) int {
	i := 0
	if v == packet.V5 {
		i = 4
	}
	if qos > 0 {
		i += 2
	}
	if retain {
		i++
	}
	return i
}

// Frame returns p as a PUBLISH packet in version v, without Subscription
// Identifiers and aliases, encoded at most once. It is valid until the next
// call of Set; with QoS 1 and 2 the packet identifier is whatever it was: see
// [Publication.FrameID]. It is empty if the packet would exceed what the
// protocol can say.
func (p *Publication) Frame(v packet.Version, qos byte, retain bool) []byte {
	i := frameIndex(v, qos, retain)
	f := p.frames[i]
	if f == nil {
		f = p.encode(&Copy{Version: v, QoS: qos, Retain: retain})
		p.frames[i] = f
	}
	if qos > 0 && len(f) > 0 {
		f[0] = f[0]&^0x06 | qos<<1
	}
	return f
}

// FrameID is Frame with the packet identifier id, for QoS 1 and 2. The bytes
// are shared with all other calls: use them before the next.
func (p *Publication) FrameID(v packet.Version, qos byte, retain bool, id uint16) []byte {
	f := p.Frame(v, qos, retain)
	if len(f) == 0 {
		return f
	}
	at := 1
	for f[at] >= 0x80 {
		at++
	}
	at += 3 + len(p.Topic)
	f[at], f[at+1] = byte(id>>8), byte(id)
	return f
}

// Append writes p for one receiver; see [Message.Append].
func (p *Publication) Append(dst []byte, c *Copy) []byte {
	return appendPublish(dst, p.Topic, p.Payload, p.Props, p.Expires, c, p.Now)
}

// encode writes a frame behind those that p.buf holds already. A frame that
// makes the buffer grow leaves the earlier ones in the old array, where they
// stay valid.
func (p *Publication) encode(c *Copy) []byte {
	start := p.bufUsed
	p.buf = p.Append(p.buf[:start], c)
	p.bufUsed = len(p.buf)
	return p.buf[start:p.bufUsed:p.bufUsed]
}
