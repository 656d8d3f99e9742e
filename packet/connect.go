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
