package packet

const (
	flagRetain = 0x01
	flagDup    = 0x08
)

// Publish carries an application message (5.0 section 3.3).
//
// After Decode every []byte in it is a part of body: it is valid only as long as body is, and must not be written to.
// A Publish that is decoded into again and again does not allocate once its slices have grown.
type Publish struct {
	Dup      bool
	QoS      byte // 0, 1 or 2
	Retain   bool
	Topic    []byte // empty only in 5.0 and only with a TopicAlias
	PacketID uint16 // 0 with QoS 0, else not 0
	PublishProperties
	Payload []byte
}

// PublishProperties are the properties of PUBLISH (5.0 section 3.3.2.3). A nil slice means absent; an empty one that is
// not nil is a property that is present and empty.
type PublishProperties struct {
	PayloadFormat   Opt[byte]   // 1: the payload is UTF-8
	MessageExpiry   Opt[uint32] // seconds
	TopicAlias      Opt[uint16] // not 0
	ResponseTopic   []byte
	CorrelationData []byte
	User            []UserPair // reused by Decode
	SubscriptionIDs []uint32   // reused by Decode; none is 0
	ContentType     []byte

	// Forward is what a Server must pass on unaltered, still encoded: every property but Topic Alias, Message Expiry
	// Interval and Subscription Identifier, in their original order, without the length in front. Decode sets it; it is
	// nil when there are none. It is a part of body unless one of the other three properties stands between them.
	//
	// When Forward is not nil, Append writes it in place of PayloadFormat, ResponseTopic, CorrelationData, User and
	// ContentType. Set it to nil after changing one of those.
	Forward []byte
}

// UserPair is a user property of a Publish, borrowed like everything in it.
type UserPair struct{ Key, Value []byte }

// Type is TypePublish.
func (p *Publish) Type() Type { return TypePublish }
