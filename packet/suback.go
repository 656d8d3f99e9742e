package packet

// Suback answers SUBSCRIBE with one code per filter (5.0 section 3.9). Before 5.0 every failure is written as 0x80.
type Suback struct {
	PacketID     uint16 // not 0
	ReasonString Opt[string]
	User         []UserProperty
	Codes        []Code // at least one
}

// Type is TypeSuback.
func (s *Suback) Type() Type { return TypeSuback }
