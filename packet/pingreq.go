package packet

// Pingreq shows that a Client is alive (5.0 section 3.12).
type Pingreq struct{}

// Type is TypePingreq.
func (p *Pingreq) Type() Type { return TypePingreq }

// Append is described at Packet.
func (p *Pingreq) Append(dst []byte, _ Version) []byte {
	return append(dst, TypePingreq.firstByte(), 0)
}

// Decode is described at Packet.
func (p *Pingreq) Decode(flags byte, body []byte, v Version) error {
	return decodeEmpty(TypePingreq, flags, body, v)
}

// decodeEmpty checks a packet that has no body.
func decodeEmpty(t Type, flags byte, body []byte, v Version) error {
	if err := checkFlags(t, flags, v); err != nil {
		return err
	}
	if len(body) != 0 {
		return trailing()
	}
	return nil
}
