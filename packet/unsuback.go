package packet

// Unsuback answers UNSUBSCRIBE (5.0 section 3.11). Before 5.0 there is only the packet identifier.
type Unsuback struct {
	PacketID     uint16 // not 0
	ReasonString Opt[string]
	User         []UserProperty
	Codes        []Code // one per filter in 5.0
}

// Type is TypeUnsuback.
func (u *Unsuback) Type() Type { return TypeUnsuback }
