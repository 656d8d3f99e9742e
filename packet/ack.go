package packet

// Ack is the content of PUBACK, PUBREC, PUBREL and PUBCOMP, which differ in their type and their codes only; convert
// between them freely. Before 5.0 there is only the packet identifier, and Code is Success.
type Ack struct {
	PacketID     uint16 // not 0
	Code         Code
	ReasonString Opt[string]
	User         []UserProperty
}

// AppendAck appends an acknowledgement of type t without code and properties: in every version that means Success.
func AppendAck(dst []byte, t Type, id uint16) []byte {
	return append(dst, t.firstByte(), 2, byte(id>>8), byte(id))
}

// ReadAck reads the body of an acknowledgement that says no more than Success, which is nearly all of them: in 5.0 also
// when the code and an empty Property Length are written out. ok is false for any other body: then Decode reads it or
// says what is wrong with it. The fixed-header flags are the caller's to check.
func ReadAck(body []byte, v Version) (id uint16, code Code, ok bool) {
	switch {
	case len(body) == 2:
	case v >= V5 && len(body) == 3 && body[2] == byte(Success):
	case v >= V5 && len(body) == 4 && body[2] == byte(Success) && body[3] == 0:
	default:
		return 0, Success, false
	}
	id = uint16(body[0])<<8 | uint16(body[1])
	return id, Success, id != 0
}

func (a *Ack) append(dst []byte, t Type, v Version) []byte {
	bare := a.Code == Success && !a.ReasonString.Set && len(a.User) == 0
	if v < V5 || bare {
		return AppendAck(dst, t, a.PacketID)
	}
	dst, packet := open(dst, t)
	dst = append(appendUint16(dst, a.PacketID), byte(a.Code))
	if a.ReasonString.Set || len(a.User) != 0 {
		dst = appendReason(dst, a.ReasonString, a.User)
	}
	return closeLength(dst, packet)
}

// appendReason writes the properties that every answer has.
func appendReason(dst []byte, reason Opt[string], user []UserProperty) []byte {
	dst, props := openLength(dst)
	dst = appendOptString(dst, PropReasonString, reason)
	dst = appendUser(dst, user)
	return closeLength(dst, props)
}

func (a *Ack) decode(t Type, flags byte, body []byte, v Version) error {
	*a = Ack{User: a.User[:0]}
	if err := checkFlags(t, flags, v); err != nil {
		return err
	}
	r := reader{b: body}
	a.PacketID = r.packetID()
	if v >= V5 && len(r.b) > 0 {
		a.Code = Code(r.byte())
		if !a.Code.ValidIn(t) {
			r.fail(wrongCode(t))
		}
		if len(r.b) > 0 {
			a.ReasonString, a.User = r.reason(a.User)
		}
	}
	return r.end()
}

// reason reads what appendReason wrote.
func (r *reader) reason(into []UserProperty) (reason Opt[string], user []UserProperty) {
	ps := r.properties(ackSet)
	for ps.next() {
		switch ps.id {
		case PropReasonString:
			reason = Some(ps.string())
		case PropUser:
			into = append(into, ps.user())
		}
	}
	r.fail(ps.err)
	return reason, into
}

func wrongCode(t Type) *Error {
	const msg = "reason code does not belong to this packet"
	switch t {
	case TypeConnack:
		return protocolError("MQTT-3.2.2-8", msg)
	case TypePuback:
		return protocolError("MQTT-3.4.2-1", msg)
	case TypePubrec:
		return protocolError("MQTT-3.5.2-1", msg)
	case TypePubrel:
		return protocolError("MQTT-3.6.2-1", msg)
	case TypePubcomp:
		return protocolError("MQTT-3.7.2-1", msg)
	case TypeSuback:
		return protocolError("MQTT-3.9.3-2", msg)
	case TypeUnsuback:
		return protocolError("MQTT-3.11.3-2", msg)
	case TypeDisconnect:
		return protocolError("MQTT-3.14.2-1", msg)
	case TypeAuth:
		return protocolError("MQTT-3.15.2-1", msg)
	}
	return protocolError("2.4", msg)
}
