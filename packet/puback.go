package packet

// Puback answers a PUBLISH with QoS 1 (5.0 section 3.4).
type Puback Ack

// Type is TypePuback.
func (p *Puback) Type() Type { return TypePuback }

// Append is described at Packet.
func (p *Puback) Append(dst []byte, v Version) []byte { return (*Ack)(p).append(dst, TypePuback, v) }

// Decode is described at Packet.
func (p *Puback) Decode(flags byte, body []byte, v Version) error {
	return (*Ack)(p).decode(TypePuback, flags, body, v)
}
