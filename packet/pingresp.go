package packet

// Pingresp answers PINGREQ (5.0 section 3.13).
type Pingresp struct{}

// Type is TypePingresp.
func (p *Pingresp) Type() Type { return TypePingresp }

// Append is described at Packet.
func (p *Pingresp) Append(dst []byte, _ Version) []byte {
	return append(dst, TypePingresp.firstByte(), 0)
}

// Decode is described at Packet.
func (p *Pingresp) Decode(flags byte, body []byte, v Version) error {
	return decodeEmpty(TypePingresp, flags, body, v)
}
