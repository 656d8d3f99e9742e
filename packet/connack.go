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
