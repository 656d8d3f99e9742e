package packet

// Packet is any control packet. The pointer types Connect to Auth implement it.
type Packet interface {
	// Type is the control packet type.
	Type() Type
	// Append writes the whole packet, fixed header included, behind dst in the form of version v and returns the
	// extended slice. Fields that v does not have are left out. It keeps no reference to dst. It does not check what
	// Decode checks, and panics when a string exceeds MaxString or the packet exceeds MaxVarint bytes.
	Append(dst []byte, v Version) []byte
	// Decode reads the body of a packet (the bytes after the fixed header) into the receiver, which is reset first and
	// whose slices are reused. A body that is too short or too long is refused. After an error the receiver holds
	// whatever had been read. Publish borrows from body; the others keep no reference to it.
	Decode(flags byte, body []byte, v Version) error
}

// Opt is a value that may be absent. The zero Opt is absent.
type Opt[T any] struct {
	Value T
	Set   bool
}

// Some makes a present Opt.
func Some[T any](v T) Opt[T] { return Opt[T]{Value: v, Set: true} }

// Or gives the value, or def when it is absent.
func (o Opt[T]) Or(def T) T {
	if o.Set {
		return o.Value
	}
	return def
}

// UserProperty is a name and value pair that means something to the application only. Names may repeat; order counts.
type UserProperty struct{ Key, Value string }

// New makes an empty packet of the type, or nil for a type that the version does not have.
func New(t Type, v Version) Packet {
	switch t {
	case TypeConnect:
		return new(Connect)
	case TypeConnack:
		return new(Connack)
	case TypePublish:
		return new(Publish)
	case TypePuback:
		return new(Puback)
	case TypePubrec:
		return new(Pubrec)
	case TypePubrel:
		return new(Pubrel)
	case TypePubcomp:
		return new(Pubcomp)
	case TypeSubscribe:
		return new(Subscribe)
	case TypeSuback:
		return new(Suback)
	case TypeUnsubscribe:
		return new(Unsubscribe)
	case TypeUnsuback:
		return new(Unsuback)
	case TypePingreq:
		return new(Pingreq)
	case TypePingresp:
		return new(Pingresp)
	case TypeDisconnect:
		return new(Disconnect)
	case TypeAuth:
		if v >= V5 {
			return new(Auth)
		}
	}
	return nil
}

// Decode reads the body that follows h into a new packet. It is the convenience for code that is not hot; see Packet for
// the contract. Version v is ignored for CONNECT, which names its own.
func Decode(h Header, body []byte, v Version) (Packet, error) {
	p := New(h.Type, v)
	if p == nil {
		return nil, malformed("2.1.2", "reserved packet type")
	}
	if err := p.Decode(h.Flags, body, v); err != nil {
		return nil, err
	}
	return p, nil
}
