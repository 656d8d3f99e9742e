package packet

// Unsuback answers UNSUBSCRIBE (5.0 section 3.11). Before 5.0 there is only the packet identifier.
type Unsuback struct {
	PacketID     uint16 // not 0
	ReasonString Opt[string]
	User         []UserProperty
	Codes        []Code // one per filter in 5.0
}

// Type is TypeUnsuback.
func (u *Unsuback) Type() Type { return TypeUnsuback }

// Append is described at Packet.
func (u *Unsuback) Append(dst []byte, v Version) []byte {
	if v < V5 {
		return AppendAck(dst, TypeUnsuback, u.PacketID)
	}
	dst, packet := open(dst, TypeUnsuback)
	dst = appendUint16(dst, u.PacketID)
	dst = appendReason(dst, u.ReasonString, u.User)
	for _, c := range u.Codes {
		dst = append(dst, byte(c))
	}
	return closeLength(dst, packet)
}

// Decode is described at Packet.
func (u *Unsuback) Decode(flags byte, body []byte, v Version) error {
	*u = Unsuback{User: u.User[:0], Codes: u.Codes[:0]}
	if err := checkFlags(TypeUnsuback, flags, v); err != nil {
		return err
	}
	r := reader{b: body}
	u.PacketID = r.packetID()
	if v < V5 {
		return r.end()
	}
	u.ReasonString, u.User = r.reason(u.User)
	u.Codes = r.codes(u.Codes, TypeUnsuback, v)
	if len(u.Codes) == 0 {
		r.fail(protocolError("MQTT-3.11.3-2", "UNSUBACK without a code"))
	}
	return r.end()
}
