package packet

// Disconnect is the last packet on a connection (5.0 section 3.14). Before 5.0 only a Client sends it and it is empty.
type Disconnect struct {
	Code            Code
	SessionExpiry   Opt[uint32] // seconds; never sent by a Server [MQTT-3.14.2-2]
	ReasonString    Opt[string]
	User            []UserProperty
	ServerReference Opt[string]
}

// Type is TypeDisconnect.
func (d *Disconnect) Type() Type { return TypeDisconnect }

// Append is described at Packet.
func (d *Disconnect) Append(dst []byte, v Version) []byte {
	dst, packet := open(dst, TypeDisconnect)
	if v < V5 {
		return dst
	}
	bare := !d.SessionExpiry.Set && !d.ReasonString.Set && len(d.User) == 0 && !d.ServerReference.Set
	if bare && d.Code == Success {
		return dst
	}
	dst = append(dst, byte(d.Code))
	if !bare {
		var props int
		dst, props = openLength(dst)
		dst = appendOptUint32(dst, PropSessionExpiry, d.SessionExpiry)
		dst = appendOptString(dst, PropReasonString, d.ReasonString)
		dst = appendUser(dst, d.User)
		dst = appendOptString(dst, PropServerReference, d.ServerReference)
		dst = closeLength(dst, props)
	}
	return closeLength(dst, packet)
}

// Decode is described at Packet. Who may send which code and property is the caller's to judge.
func (d *Disconnect) Decode(flags byte, body []byte, v Version) error {
	*d = Disconnect{User: d.User[:0]}
	if err := checkFlags(TypeDisconnect, flags, v); err != nil {
		return err
	}
	r := reader{b: body}
	if v < V5 || len(body) == 0 {
		return r.end()
	}
	d.Code = Code(r.byte())
	if !d.Code.ValidIn(TypeDisconnect) {
		r.fail(wrongCode(TypeDisconnect))
	}
	if len(r.b) > 0 {
		d.decodeProperties(&r)
	}
	return r.end()
}

func (d *Disconnect) decodeProperties(r *reader) {
	ps := r.properties(disconnectSet)
	for ps.next() {
		switch ps.id {
		case PropSessionExpiry:
			d.SessionExpiry = Some(ps.uint32())
		case PropReasonString:
			d.ReasonString = Some(ps.string())
		case PropUser:
			d.User = append(d.User, ps.user())
		case PropServerReference:
			d.ServerReference = Some(ps.string())
		}
	}
	r.fail(ps.err)
}
