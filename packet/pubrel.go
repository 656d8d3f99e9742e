package packet

// Pubrel is the second step of QoS 2, from the sender of the PUBLISH (5.0 section 3.6).
type Pubrel Ack

// Type is TypePubrel.
func (p *Pubrel) Type() Type { return TypePubrel }

// Append is described at Packet.
func (p *Pubrel) Append(dst []byte, v Version) []byte { return (*Ack)(p).append(dst, TypePubrel, v) }

// Decode is described at Packet.
func (p *Pubrel) Decode(flags byte, body []byte, v Version) error {
	return (*Ack)(p).decode(TypePubrel, flags, body, v)
}
