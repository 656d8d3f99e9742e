package packet

import "slices"

// Unsubscribe ends subscriptions (5.0 section 3.10).
type Unsubscribe struct {
	PacketID uint16 // not 0
	User     []UserProperty
	Filters  []string // at least one, none empty
}

// Type is TypeUnsubscribe.
func (u *Unsubscribe) Type() Type { return TypeUnsubscribe }

// Append is described at Packet.
func (u *Unsubscribe) Append(dst []byte, v Version) []byte {
	dst, packet := open(dst, TypeUnsubscribe)
	dst = appendUint16(dst, u.PacketID)
	if v >= V5 {
		var props int
		dst, props = openLength(dst)
		dst = closeLength(appendUser(dst, u.User), props)
	}
	for _, f := range u.Filters {
		dst = AppendString(dst, f)
	}
	return closeLength(dst, packet)
}

// Decode is described at Packet.
func (u *Unsubscribe) Decode(flags byte, body []byte, v Version) error {
	*u = Unsubscribe{User: u.User[:0], Filters: u.Filters[:0]}
	if err := checkFlags(TypeUnsubscribe, flags, v); err != nil {
		return err
	}
	r := reader{b: body}
	u.PacketID = r.packetID()
	if v >= V5 {
		ps := r.properties(unsubscribeSet)
		for ps.next() {
			u.User = append(u.User, ps.user())
		}
		r.fail(ps.err)
	}
	u.Filters = slices.Grow(u.Filters, countStrings(r.b, 0))
	for len(r.b) > 0 {
		u.Filters = append(u.Filters, r.filter())
	}
	if r.err == nil && len(u.Filters) == 0 {
		r.fail(protocolError("MQTT-3.10.3-2", "UNSUBSCRIBE without a Topic Filter"))
	}
	return r.end()
}
