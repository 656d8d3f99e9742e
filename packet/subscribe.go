package packet

// Subscribe asks for messages (5.0 section 3.8). The codec does not know the syntax of wildcards.
type Subscribe struct {
	PacketID       uint16      // not 0
	SubscriptionID Opt[uint32] // not 0
	User           []UserProperty
	Filters        []SubscribeFilter // at least one
}

// SubscribeFilter is one subscription of a Subscribe.
type SubscribeFilter struct {
	Filter string // not empty
	Options
}

// Options are the subscription options. Before 5.0 there is only QoS.
type Options struct {
	QoS               byte // the highest QoS that is wanted: 0, 1 or 2
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0 send retained, 1 send if the subscription is new, 2 do not send
}

// Type is TypeSubscribe.
func (s *Subscribe) Type() Type { return TypeSubscribe }
