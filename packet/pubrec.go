package packet

// Pubrec is the first answer to a PUBLISH with QoS 2 (5.0 section 3.5).
type Pubrec Ack

// Type is TypePubrec.
func (p *Pubrec) Type() Type { return TypePubrec }

// Append is described at Packet.
func (p *Pubrec) Append(dst []byte, v Version) []byte { return (*Ack)(p).append(dst, TypePubrec, v) }

// Decode is described at Packet.
func (p *Pubrec) Decode(flags byte, body []byte, v Version) error {
	return (*Ack)(p).decode(TypePubrec, flags, body, v)
}
