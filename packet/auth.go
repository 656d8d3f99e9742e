package packet

// Auth is one step of extended authentication (5.0 section 3.15). Older versions do not have it.
type Auth struct {
	Code         Code
	AuthMethod   Opt[string]
	AuthData     []byte // nil: absent
	ReasonString Opt[string]
	User         []UserProperty
}

// Type is TypeAuth.
func (a *Auth) Type() Type { return TypeAuth }

// bare reports whether the packet says Success and no more, which is written without a body.
func (a *Auth) bare() bool {
	return a.Code == Success && !a.AuthMethod.Set && a.AuthData == nil && !a.ReasonString.Set && len(a.User) == 0
}

// Append is described at Packet.
func (a *Auth) Append(dst []byte, _ Version) []byte {
	dst, packet := open(dst, TypeAuth)
	if a.bare() {
		return dst
	}
	dst = append(dst, byte(a.Code))
	dst, props := openLength(dst)
	dst = appendOptString(dst, PropAuthMethod, a.AuthMethod)
	dst = appendOptBinary(dst, PropAuthData, a.AuthData)
	dst = appendOptString(dst, PropReasonString, a.ReasonString)
	dst = appendUser(dst, a.User)
	return closeLength(closeLength(dst, props), packet)
}

// Decode is described at Packet.
func (a *Auth) Decode(flags byte, body []byte, v Version) error {
	*a = Auth{User: a.User[:0]}
	if err := (Header{Type: TypeAuth, Flags: flags}).CheckFlags(v); err != nil {
		return err
	}
	r := reader{b: body}
	if len(body) == 0 {
		return nil
	}
	a.Code = Code(r.byte())
	if !a.Code.ValidIn(TypeAuth) {
		r.fail(wrongCode(TypeAuth))
	}
	if len(r.b) > 0 {
		a.decodeProperties(&r)
	}
	if !a.AuthMethod.Set && !a.bare() {
		r.fail(protocolError("MQTT-4.12.0-5", "AUTH without an Authentication Method"))
	}
	return r.end()
}

func (a *Auth) decodeProperties(r *reader) {
	ps := r.properties(authSet)
	for ps.next() {
		switch ps.id {
		case PropAuthMethod:
			a.AuthMethod = Some(ps.string())
		case PropAuthData:
			a.AuthData = ps.ownBinary()
		case PropReasonString:
			a.ReasonString = Some(ps.string())
		case PropUser:
			a.User = append(a.User, ps.user())
		}
	}
	r.fail(ps.err)
}
