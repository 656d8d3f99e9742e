package packet

// Type is the control packet type of the fixed header (5.0 section 2.1.2).
type Type byte

// The control packet types. Value 0 is forbidden; AUTH exists in 5.0 only.
const (
	TypeConnect     Type = 1
	TypeConnack     Type = 2
	TypePublish     Type = 3
	TypePuback      Type = 4
	TypePubrec      Type = 5
	TypePubrel      Type = 6
	TypePubcomp     Type = 7
	TypeSubscribe   Type = 8
	TypeSuback      Type = 9
	TypeUnsubscribe Type = 10
	TypeUnsuback    Type = 11
	TypePingreq     Type = 12
	TypePingresp    Type = 13
	TypeDisconnect  Type = 14
	TypeAuth        Type = 15
)

// String gives the name as the standard writes it, such as "CONNECT".
func (t Type) String() string {
	names := [...]string{
		"reserved type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
		"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
	}
	if int(t) < len(names) {
		return names[t]
	}
	return "invalid type"
}

// firstByte is the first byte of every packet of this type except PUBLISH, whose flags vary [MQTT-2.1.3-1].
func (t Type) firstByte() byte { return byte(t)<<4 | t.flags() }

// flags are the fixed-header flags the standard demands for the type.
func (t Type) flags() byte {
	switch t {
	case TypePubrel, TypeSubscribe, TypeUnsubscribe:
		return 0x02
	}
	return 0
}
