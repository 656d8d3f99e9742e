package packet

// Pubcomp ends the exchange of QoS 2 (5.0 section 3.7).
type Pubcomp Ack

// Type is TypePubcomp.
func (p *Pubcomp) Type() Type { return TypePubcomp }

// Append is described at Packet.
func (p *Pubcomp) Append(dst []byte, v Version) []byte { return (*Ack)(p).append(dst, TypePubcomp, v) }

// Decode is described at Packet.
func (p *Pubcomp) Decode(flags byte, body []byte, v Version) error {
	return (*Ack)(p).decode(TypePubcomp, flags, body, v)
}
