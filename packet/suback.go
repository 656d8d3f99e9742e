package packet

// Suback answers SUBSCRIBE with one code per filter (5.0 section 3.9). Before 5.0 every failure is written as 0x80.
type Suback struct {
	PacketID     uint16 // not 0
	ReasonString Opt[string]
	User         []UserProperty
	Codes        []Code // at least one
}

// Type is TypeSuback.
func (s *Suback) Type() Type { return TypeSuback }

// Append is described at Packet.
func (s *Suback) Append(dst []byte, v Version) []byte {
	dst, packet := open(dst, TypeSuback)
	dst = appendUint16(dst, s.PacketID)
	if v >= V5 {
		dst = appendReason(dst, s.ReasonString, s.User)
	}
	for _, c := range s.Codes {
		if v < V5 && c.Failed() {
			c = UnspecifiedError
		}
		dst = append(dst, byte(c))
	}
	return closeLength(dst, packet)
}

// Decode is described at Packet.
func (s *Suback) Decode(flags byte, body []byte, v Version) error {
	*s = Suback{User: s.User[:0], Codes: s.Codes[:0]}
	if err := checkFlags(TypeSuback, flags, v); err != nil {
		return err
	}
	r := reader{b: body}
	s.PacketID = r.packetID()
	if v >= V5 {
		s.ReasonString, s.User = r.reason(s.User)
	}
	s.Codes = r.codes(s.Codes, TypeSuback, v)
	if len(s.Codes) == 0 {
		r.fail(protocolError("MQTT-3.8.4-6", "SUBACK without a code"))
	}
	return r.end()
}

// codes reads the rest of the body as one code each.
func (r *reader) codes(into []Code, t Type, v Version) []Code {
	for _, b := range r.take(len(r.b)) {
		c := Code(b)
		if !c.ValidIn(t) || v < V5 && c > UnspecifiedError {
			r.fail(wrongCode(t))
			break
		}
		into = append(into, c)
	}
	return into
}
