package packet

// PropertyID names a property (5.0 section 2.2.2.2).
type PropertyID byte

// The properties of 5.0.
const (
	PropPayloadFormat           PropertyID = 0x01
	PropMessageExpiry           PropertyID = 0x02
	PropContentType             PropertyID = 0x03
	PropResponseTopic           PropertyID = 0x08
	PropCorrelationData         PropertyID = 0x09
	PropSubscriptionID          PropertyID = 0x0B
	PropSessionExpiry           PropertyID = 0x11
	PropAssignedClientID        PropertyID = 0x12
	PropServerKeepAlive         PropertyID = 0x13
	PropAuthMethod              PropertyID = 0x15
	PropAuthData                PropertyID = 0x16
	PropRequestProblemInfo      PropertyID = 0x17
	PropWillDelayInterval       PropertyID = 0x18
	PropRequestResponseInfo     PropertyID = 0x19
	PropResponseInfo            PropertyID = 0x1A
	PropServerReference         PropertyID = 0x1C
	PropReasonString            PropertyID = 0x1F
	PropReceiveMaximum          PropertyID = 0x21
	PropTopicAliasMaximum       PropertyID = 0x22
	PropTopicAlias              PropertyID = 0x23
	PropMaximumQoS              PropertyID = 0x24
	PropRetainAvailable         PropertyID = 0x25
	PropUser                    PropertyID = 0x26
	PropMaximumPacketSize       PropertyID = 0x27
	PropWildcardAvailable       PropertyID = 0x28
	PropSubscriptionIDAvailable PropertyID = 0x29
	PropSharedAvailable         PropertyID = 0x2A
)

// propertySet has bit n set for the property with identifier n.
type propertySet uint64

// The properties that each packet may have (table 2-4).
const (
	publishSet propertySet = 1<<PropPayloadFormat | 1<<PropMessageExpiry | 1<<PropContentType | 1<<PropResponseTopic |
		1<<PropCorrelationData | 1<<PropSubscriptionID | 1<<PropTopicAlias | 1<<PropUser
	willSet propertySet = 1<<PropPayloadFormat | 1<<PropMessageExpiry | 1<<PropContentType | 1<<PropResponseTopic |
		1<<PropCorrelationData | 1<<PropWillDelayInterval | 1<<PropUser
	connectSet propertySet = 1<<PropSessionExpiry | 1<<PropAuthMethod | 1<<PropAuthData | 1<<PropRequestProblemInfo |
		1<<PropRequestResponseInfo | 1<<PropReceiveMaximum | 1<<PropTopicAliasMaximum | 1<<PropUser |
		1<<PropMaximumPacketSize
	connackSet propertySet = 1<<PropSessionExpiry | 1<<PropAssignedClientID | 1<<PropServerKeepAlive |
		1<<PropAuthMethod | 1<<PropAuthData | 1<<PropResponseInfo | 1<<PropServerReference | 1<<PropReasonString |
		1<<PropReceiveMaximum | 1<<PropTopicAliasMaximum | 1<<PropMaximumQoS | 1<<PropRetainAvailable | 1<<PropUser |
		1<<PropMaximumPacketSize | 1<<PropWildcardAvailable | 1<<PropSubscriptionIDAvailable | 1<<PropSharedAvailable
	ackSet         propertySet = 1<<PropReasonString | 1<<PropUser
	subscribeSet   propertySet = 1<<PropSubscriptionID | 1<<PropUser
	unsubscribeSet propertySet = 1 << PropUser
	disconnectSet  propertySet = 1<<PropSessionExpiry | 1<<PropServerReference | 1<<PropReasonString | 1<<PropUser
	authSet        propertySet = 1<<PropAuthMethod | 1<<PropAuthData | 1<<PropReasonString | 1<<PropUser
)

// properties walks over the properties of one packet:
//
//	ps := r.properties(ackSet)
//	for ps.next() {
//		switch ps.id { ... read the value from ps ... }
//	}
//	r.fail(ps.err)
//
// It refuses what the packet may not have and what comes twice.
type properties struct {
	reader                // over the property bytes alone, so that no value can reach past them
	id        PropertyID  // set by next
	allowed   propertySet // may come
	forbidden propertySet // has come, and may not come again
}

// properties starts at a Property Length and moves r behind the properties. A length of zero is written when there are
// none [MQTT-2.2.2-1], so that its absence is an error.
func (r *reader) properties(allowed propertySet) properties {
	return properties{reader: reader{b: r.take(int(r.varint()))}, allowed: allowed}
}

// next reads the identifier of the next property; the caller must then read its value.
func (ps *properties) next() bool {
	if len(ps.b) == 0 {
		return false
	}
	id := ps.b[0] // all identifiers fit into the first byte of their variable byte integer
	if id >= 64 || ps.allowed>>id&1 == 0 {
		ps.fail(malformed("2.2.2.2", "property is unknown or does not belong to this packet"))
		return false
	}
	if ps.forbidden>>id&1 != 0 {
		ps.fail(protocolError("2.2.2.2", "property is included more than once"))
		return false
	}
	if id != byte(PropUser) && !(id == byte(PropSubscriptionID) && ps.allowed == publishSet) {
		ps.forbidden |= 1 << id
	}
	ps.b = ps.b[1:]
	ps.id = PropertyID(id)
	return true
}

// flag reads a byte that is 0 or 1.
func (ps *properties) flag() Opt[byte] {
	v := ps.byte()
	if v > 1 {
		ps.fail(protocolError("2.2.2.2", "property is neither 0 nor 1"))
	}
	return Some(v)
}

// positive16 reads a two byte integer that is not 0.
func (ps *properties) positive16() Opt[uint16] {
	v := ps.uint16()
	if v == 0 {
		ps.fail(protocolError("2.2.2.2", "property is 0"))
	}
	return Some(v)
}

// positive32 reads a four byte integer that is not 0.
func (ps *properties) positive32() Opt[uint32] {
	v := ps.uint32()
	if v == 0 {
		ps.fail(protocolError("2.2.2.2", "property is 0"))
	}
	return Some(v)
}

// subscriptionID reads a Subscription Identifier, which is 1 to MaxVarint.
func (ps *properties) subscriptionID() uint32 {
	v := ps.varint()
	if v == 0 {
		ps.fail(protocolError("3.8.2.1.2", "Subscription Identifier is 0"))
	}
	return v
}

// user reads one user property; both strings are checked [MQTT-1.5.7-1].
func (ps *properties) user() UserProperty {
	return UserProperty{Key: ps.string(), Value: ps.string()}
}
