package packet

// Unsubscribe ends subscriptions (5.0 section 3.10).
type Unsubscribe struct {
	PacketID uint16 // not 0
	User     []UserProperty
	Filters  []string // at least one, none empty
}

// Type is TypeUnsubscribe.
func (u *Unsubscribe) Type() Type { return TypeUnsubscribe }
