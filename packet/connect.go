package packet

// Connect asks for a session (5.0 section 3.1). The protocol name follows from Version.
type Connect struct {
	Version    Version
	Bridge     bool   // the high bit of the protocol level, which bridges set in 3.1 and 3.1.1; not part of the standard
	CleanStart bool   // Clean Session before 5.0
	KeepAlive  uint16 // seconds; 0 is off
	ClientID   string
	Will       *Will // nil: none
	Username   Opt[string]
	Password   Opt[[]byte]

	// Properties, 5.0 only.
	SessionExpiry       Opt[uint32] // seconds; 0xFFFFFFFF is never
	ReceiveMaximum      Opt[uint16] // not 0
	MaximumPacketSize   Opt[uint32] // bytes, not 0
	TopicAliasMaximum   Opt[uint16]
	RequestResponseInfo Opt[byte] // 0 or 1
	RequestProblemInfo  Opt[byte] // 0 or 1
	User                []UserProperty
	AuthMethod          Opt[string]
	AuthData            []byte // nil: absent
}

// Will is the message that the Server publishes when the connection ends badly.
type Will struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool

	// Properties, 5.0 only.
	DelayInterval   Opt[uint32] // seconds
	PayloadFormat   Opt[byte]   // 0 or 1
	MessageExpiry   Opt[uint32] // seconds
	ContentType     Opt[string]
	ResponseTopic   Opt[string]
	CorrelationData []byte // nil: absent
	User            []UserProperty
}

// Type is TypeConnect.
func (c *Connect) Type() Type { return TypeConnect }

// The Connect Flags (5.0 section 3.1.2.3), and the bit that bridges set in the protocol level.
const (
	connectCleanStart = 0x02
	connectWill       = 0x04
	connectWillQoS    = 0x18
	connectWillRetain = 0x20
	connectPassword   = 0x40
	connectUsername   = 0x80

	levelBridge = 0x80
)

// Append is described at Packet. It writes the form of c.Version and ignores its argument.
func (c *Connect) Append(dst []byte, _ Version) []byte {
	dst, packet := open(dst, TypeConnect)
	name, level := "MQTT", byte(c.Version)
	if c.Version == V31 {
		name = "MQIsdp"
	}
	if c.Bridge && c.Version < V5 {
		level |= levelBridge
	}
	dst = AppendString(dst, name)
	dst = append(dst, level, c.flags())
	dst = appendUint16(dst, c.KeepAlive)
	if c.Version >= V5 {
		dst = c.appendProperties(dst)
	}
	dst = AppendString(dst, c.ClientID)
	if c.Will != nil {
		dst = c.Will.append(dst, c.Version)
	}
	if c.Username.Set {
		dst = AppendString(dst, c.Username.Value)
	}
	if c.Password.Set {
		dst = AppendBinary(dst, c.Password.Value)
	}
	return closeLength(dst, packet)
}

func (c *Connect) flags() byte {
	flags := byte(0)
	if c.CleanStart {
		flags |= connectCleanStart
	}
	if c.Will != nil {
		flags |= connectWill | c.Will.QoS<<3
		if c.Will.Retain {
			flags |= connectWillRetain
		}
	}
	if c.Password.Set {
		flags |= connectPassword
	}
	if c.Username.Set {
		flags |= connectUsername
	}
	return flags
}

func (c *Connect) appendProperties(dst []byte) []byte {
	dst, props := openLength(dst)
	dst = appendOptUint32(dst, PropSessionExpiry, c.SessionExpiry)
	dst = appendOptUint16(dst, PropReceiveMaximum, c.ReceiveMaximum)
	dst = appendOptUint32(dst, PropMaximumPacketSize, c.MaximumPacketSize)
	dst = appendOptUint16(dst, PropTopicAliasMaximum, c.TopicAliasMaximum)
	dst = appendOptByte(dst, PropRequestResponseInfo, c.RequestResponseInfo)
	dst = appendOptByte(dst, PropRequestProblemInfo, c.RequestProblemInfo)
	dst = appendUser(dst, c.User)
	dst = appendOptString(dst, PropAuthMethod, c.AuthMethod)
	dst = appendOptBinary(dst, PropAuthData, c.AuthData)
	return closeLength(dst, props)
}

func (w *Will) append(dst []byte, v Version) []byte {
	if v >= V5 {
		var props int
		dst, props = openLength(dst)
		dst = appendOptUint32(dst, PropWillDelayInterval, w.DelayInterval)
		dst = appendOptByte(dst, PropPayloadFormat, w.PayloadFormat)
		dst = appendOptUint32(dst, PropMessageExpiry, w.MessageExpiry)
		dst = appendOptString(dst, PropContentType, w.ContentType)
		dst = appendOptString(dst, PropResponseTopic, w.ResponseTopic)
		dst = appendOptBinary(dst, PropCorrelationData, w.CorrelationData)
		dst = closeLength(appendUser(dst, w.User), props)
	}
	return AppendBinary(AppendString(dst, w.Topic), w.Payload)
}

// Decode is described at Packet. The version comes from the packet and the argument is ignored. After an error
// c.Version says how far it got: 0 when the protocol is not MQTT at all, else what the packet asked for, which is the
// version to answer in even when this package does not speak it.
//
// The fields come in a fixed order [MQTT-3.1.3-1], each exactly when its flag says so [MQTT-3.1.2-9] [MQTT-3.1.2-16]
// [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19], and nothing else is accepted [MQTT-3.1.4-1].
//
// An empty ClientID passes in every version: whether it is welcome is the Server's decision.
func (c *Connect) Decode(flags byte, body []byte, _ Version) error {
	*c = Connect{User: c.User[:0]}
	if err := checkFlags(TypeConnect, flags, V5); err != nil {
		return err
	}
	r := reader{b: body}
	c.decodeProtocol(&r)
	fields := r.byte()
	if r.err == nil {
		r.fail(c.checkConnectFlags(fields))
	}
	c.CleanStart = fields&connectCleanStart != 0
	c.KeepAlive = r.uint16()
	if r.err == nil && c.Version >= V5 {
		c.decodeProperties(&r)
	}
	c.ClientID = r.string() // [MQTT-3.1.3-3] [MQTT-3.1.3-4]
	if r.err == nil && fields&connectWill != 0 {
		c.Will = &Will{QoS: fields & connectWillQoS >> 3, Retain: fields&connectWillRetain != 0}
		c.Will.decode(&r, c.Version)
	}
	if fields&connectUsername != 0 && !c.absent31(&r) {
		c.Username = Some(r.string()) // [MQTT-3.1.3-12]
	}
	if fields&connectPassword != 0 && !c.absent31(&r) {
		c.Password = Some(r.ownBinary())
	}
	return r.end()
}

// absent31 is a rule of 3.1 alone, kept for clients older still: a User Name or Password that is announced by its flag
// but lies behind the end of the packet is not there, and that is no error.
func (c *Connect) absent31(r *reader) bool { return c.Version == V31 && r.err == nil && len(r.b) == 0 }

// decodeProtocol reads Protocol Name and Protocol Version [MQTT-3.1.2-1] [MQTT-3.1.2-2].
func (c *Connect) decodeProtocol(r *reader) {
	name := string(r.binary())
	level := r.byte()
	if r.err != nil {
		return
	}
	if name != "MQTT" && name != "MQIsdp" {
		r.fail(&Error{UnsupportedProtocolVersion, "MQTT-3.1.2-1", "unknown protocol name"})
		return
	}
	if level == levelBridge|byte(V31) || level == levelBridge|byte(V311) {
		c.Bridge = true
		level &^= levelBridge
	}
	c.Version = Version(level)
	if known := c.Version >= V31 && c.Version <= V5; !known || (c.Version == V31) != (name == "MQIsdp") {
		r.fail(&Error{UnsupportedProtocolVersion, "MQTT-3.1.2-2", "unsupported protocol level"})
	}
}

// checkConnectFlags cites 5.0; in 3.1.1 the flags of the Will are [3.1.1: MQTT-3.1.2-13] [3.1.1: MQTT-3.1.2-14]
// [3.1.1: MQTT-3.1.2-15].
func (c *Connect) checkConnectFlags(flags byte) error {
	switch {
	case flags&0x01 != 0:
		return malformed("MQTT-3.1.2-3", "reserved bit of the Connect Flags is set")
	case flags&connectWill == 0 && flags&connectWillQoS != 0:
		return malformed("MQTT-3.1.2-11", "Will QoS without a Will")
	case flags&connectWill == 0 && flags&connectWillRetain != 0:
		return malformed("MQTT-3.1.2-13", "Will Retain without a Will")
	case flags&connectWillQoS == connectWillQoS:
		return malformed("MQTT-3.1.2-12", "Will QoS is 3")
	case c.Version < V5 && flags&(connectUsername|connectPassword) == connectPassword:
		return malformed("3.1.1: MQTT-3.1.2-22", "Password without User Name") // 5.0 allows it
	}
	return nil
}

func (c *Connect) decodeProperties(r *reader) {
	ps := r.properties(connectSet)
	for ps.next() {
		switch ps.id {
		case PropSessionExpiry:
			c.SessionExpiry = Some(ps.uint32())
		case PropReceiveMaximum:
			c.ReceiveMaximum = ps.positive16()
		case PropMaximumPacketSize:
			c.MaximumPacketSize = ps.positive32()
		case PropTopicAliasMaximum:
			c.TopicAliasMaximum = Some(ps.uint16())
		case PropRequestResponseInfo:
			c.RequestResponseInfo = ps.flag()
		case PropRequestProblemInfo:
			c.RequestProblemInfo = ps.flag()
		case PropUser:
			c.User = append(c.User, ps.user())
		case PropAuthMethod:
			c.AuthMethod = Some(ps.string())
		case PropAuthData:
			c.AuthData = ps.ownBinary()
		}
	}
	r.fail(ps.err)
	if c.AuthData != nil && !c.AuthMethod.Set {
		r.fail(protocolError("3.1.2.11.10", "Authentication Data without Authentication Method"))
	}
}

func (w *Will) decode(r *reader, v Version) {
	if v >= V5 {
		w.decodeProperties(r)
	}
	w.Topic = r.willTopic()
	w.Payload = r.ownBinary()
}

func (w *Will) decodeProperties(r *reader) {
	ps := r.properties(willSet)
	for ps.next() {
		switch ps.id {
		case PropWillDelayInterval:
			w.DelayInterval = Some(ps.uint32())
		case PropPayloadFormat:
			w.PayloadFormat = ps.flag()
		case PropMessageExpiry:
			w.MessageExpiry = Some(ps.uint32())
		case PropContentType:
			w.ContentType = Some(ps.string())
		case PropResponseTopic:
			w.ResponseTopic = Some(string(ps.responseTopic()))
		case PropCorrelationData:
			w.CorrelationData = ps.ownBinary()
		case PropUser:
			w.User = append(w.User, ps.user())
		}
	}
	r.fail(ps.err)
}
