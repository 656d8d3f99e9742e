package packet

// Header is the fixed header of a packet.
type Header struct {
	Type      Type
	Flags     byte // the low four bits of the first byte
	Remaining int  // bytes that follow the fixed header
	Size      int  // bytes of the fixed header itself: 2 to 5
}

// ReadHeader reads the fixed header at the start of b. ok is false without an error while more bytes are needed. A
// length with a fifth byte, and one that is longer than needed, is refused in every version (see ReadVarint); nothing
// else is checked here, so that the caller can first apply its own rules to type and size.
func ReadHeader(b []byte) (h Header, ok bool, err error) {
	if len(b) < 2 {
		return Header{}, false, nil
	}
	v, n, err := ReadVarint(b[1:])
	if err != nil || n == 0 {
		return Header{}, false, err
	}
	return Header{Type: Type(b[0] >> 4), Flags: b[0] & 0x0F, Remaining: int(v), Size: 1 + n}, true, nil
}

// CheckFlags refuses fixed-header flags that the type does not allow, and types that the version does not have. The
// Decode methods call it on their own; it is here for a caller that wants to refuse before the body has arrived.
func (h Header) CheckFlags(v Version) error {
	switch {
	case h.Type == 0 || h.Type > TypeAuth || h.Type == TypeAuth && v < V5:
		return malformed("2.1.2", "reserved packet type")
	case h.Type == TypePublish:
		return checkPublishFlags(h.Flags)
	}
	return checkFlags(h.Type, h.Flags, v)
}

// checkFlags is for every type but PUBLISH [3.1.1: MQTT-2.2.2-1] [3.1.1: MQTT-2.2.2-2]. In 3.1 the packets that await an answer carry a DUP bit when they are sent
// again, so it is ignored there.
func checkFlags(t Type, flags byte, v Version) error {
	want := t.flags()
	if flags == want || v < V311 && want != 0 && flags == want|flagDup {
		return nil
	}
	switch t {
	case TypePubrel:
		return malformed("MQTT-3.6.1-1", "wrong fixed-header flags")
	case TypeSubscribe:
		return malformed("MQTT-3.8.1-1", "wrong fixed-header flags")
	case TypeUnsubscribe:
		return malformed("MQTT-3.10.1-1", "wrong fixed-header flags")
	case TypeDisconnect:
		return malformed("MQTT-3.14.1-1", "wrong fixed-header flags")
	case TypeAuth:
		return malformed("MQTT-3.15.1-1", "wrong fixed-header flags")
	}
	return malformed("MQTT-2.1.3-1", "wrong fixed-header flags")
}
