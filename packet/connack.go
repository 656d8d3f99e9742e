package packet

// Connack answers CONNECT (5.0 section 3.2). Code is always one of 5.0: before 5.0 Append translates it to a return code
// (see Code.ReturnCode; a code without one becomes 3, server unavailable) and Decode translates back.
type Connack struct {
	SessionPresent bool // does not exist in 3.1
	Code           Code

	// Properties, 5.0 only.
	SessionExpiry           Opt[uint32] // seconds
	ReceiveMaximum          Opt[uint16] // not 0
	MaximumQoS              Opt[byte]   // 0 or 1
	RetainAvailable         Opt[byte]   // 0 or 1
	MaximumPacketSize       Opt[uint32] // bytes, not 0
	AssignedClientID        Opt[string]
	TopicAliasMaximum       Opt[uint16]
	ReasonString            Opt[string]
	User                    []UserProperty
	WildcardAvailable       Opt[byte]   // 0 or 1
	SubscriptionIDAvailable Opt[byte]   // 0 or 1
	SharedAvailable         Opt[byte]   // 0 or 1
	ServerKeepAlive         Opt[uint16] // seconds
	ResponseInfo            Opt[string]
	ServerReference         Opt[string]
	AuthMethod              Opt[string]
	AuthData                []byte // nil: absent
}

// Type is TypeConnack.
func (c *Connack) Type() Type { return TypeConnack }

// Append is described at Packet. Session Present is written with Success only [MQTT-3.2.2-6].
func (c *Connack) Append(dst []byte, v Version) []byte {
	dst, packet := open(dst, TypeConnack)
	present := byte(0)
	if c.SessionPresent && c.Code == Success && v >= V311 {
		present = 1
	}
	if v < V5 {
		rc, _ := c.Code.ReturnCode()
		return closeLength(append(dst, present, rc), packet)
	}
	dst = append(dst, present, byte(c.Code))
	dst, props := openLength(dst)
	dst = c.appendProperties(dst)
	return closeLength(closeLength(dst, props), packet)
}

func (c *Connack) appendProperties(dst []byte) []byte {
	dst = appendOptUint32(dst, PropSessionExpiry, c.SessionExpiry)
	dst = appendOptUint16(dst, PropReceiveMaximum, c.ReceiveMaximum)
	dst = appendOptByte(dst, PropMaximumQoS, c.MaximumQoS)
	dst = appendOptByte(dst, PropRetainAvailable, c.RetainAvailable)
	dst = appendOptUint32(dst, PropMaximumPacketSize, c.MaximumPacketSize)
	dst = appendOptString(dst, PropAssignedClientID, c.AssignedClientID)
	dst = appendOptUint16(dst, PropTopicAliasMaximum, c.TopicAliasMaximum)
	dst = appendOptString(dst, PropReasonString, c.ReasonString)
	dst = appendUser(dst, c.User)
	dst = appendOptByte(dst, PropWildcardAvailable, c.WildcardAvailable)
	dst = appendOptByte(dst, PropSubscriptionIDAvailable, c.SubscriptionIDAvailable)
	dst = appendOptByte(dst, PropSharedAvailable, c.SharedAvailable)
	dst = appendOptUint16(dst, PropServerKeepAlive, c.ServerKeepAlive)
	dst = appendOptString(dst, PropResponseInfo, c.ResponseInfo)
	dst = appendOptString(dst, PropServerReference, c.ServerReference)
	dst = appendOptString(dst, PropAuthMethod, c.AuthMethod)
	return appendOptBinary(dst, PropAuthData, c.AuthData)
}

// Decode is described at Packet.
func (c *Connack) Decode(flags byte, body []byte, v Version) error {
	*c = Connack{User: c.User[:0]}
	if err := checkFlags(TypeConnack, flags, v); err != nil {
		return err
	}
	r := reader{b: body}
	present := r.byte()
	if v < V311 {
		present = 0 // the byte is there and unused in 3.1
	}
	if present > 1 {
		r.fail(malformed("MQTT-3.2.2-1", "reserved bit of the Connect Acknowledge Flags is set"))
	}
	c.SessionPresent = present == 1
	code, ok := Code(r.byte()), true
	if v < V5 {
		code, ok = fromReturnCode(byte(code))
	}
	c.Code = code
	switch {
	case r.err != nil:
	case !ok || !code.ValidIn(TypeConnack):
		r.fail(wrongCode(TypeConnack))
	case c.SessionPresent && code != Success:
		r.fail(protocolError("MQTT-3.2.2-6", "Session Present in a refusal"))
	}
	if v >= V5 {
		c.decodeProperties(&r)
	}
	return r.end()
}

func (c *Connack) decodeProperties(r *reader) {
	ps := r.properties(connackSet)
	for ps.next() {
		switch ps.id {
		case PropSessionExpiry:
			c.SessionExpiry = Some(ps.uint32())
		case PropReceiveMaximum:
			c.ReceiveMaximum = ps.positive16()
		case PropMaximumQoS:
			c.MaximumQoS = ps.flag()
		case PropRetainAvailable:
			c.RetainAvailable = ps.flag()
		case PropMaximumPacketSize:
			c.MaximumPacketSize = ps.positive32()
		case PropAssignedClientID:
			c.AssignedClientID = Some(ps.string())
		case PropTopicAliasMaximum:
			c.TopicAliasMaximum = Some(ps.uint16())
		case PropReasonString:
			c.ReasonString = Some(ps.string())
		case PropUser:
			c.User = append(c.User, ps.user())
		case PropWildcardAvailable:
			c.WildcardAvailable = ps.flag()
		case PropSubscriptionIDAvailable:
			c.SubscriptionIDAvailable = ps.flag()
		case PropSharedAvailable:
			c.SharedAvailable = ps.flag()
		case PropServerKeepAlive:
			c.ServerKeepAlive = Some(ps.uint16())
		case PropResponseInfo:
			c.ResponseInfo = Some(ps.string())
		case PropServerReference:
			c.ServerReference = Some(ps.string())
		case PropAuthMethod:
			c.AuthMethod = Some(ps.string())
		case PropAuthData:
			c.AuthData = ps.ownBinary()
		}
	}
	r.fail(ps.err)
}
