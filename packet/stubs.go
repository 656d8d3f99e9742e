package packet

func checkPublishFlags(flags byte) error                               { return nil }
func (a *Ack) append(dst []byte, t Type, v Version) []byte             { return dst }
func (a *Ack) decode(t Type, flags byte, body []byte, v Version) error { return nil }

// MaxString is the largest size of a string or binary field in bytes [MQTT-4.7.3-3].
const MaxString = 65535

// AppendAck appends an acknowledgement with code Success.
func AppendAck(dst []byte, t Type, id uint16) []byte { return dst }

// ReadAck reads the body of an acknowledgement that has nothing but a packet identifier.
func ReadAck(body []byte, v Version) (id uint16, code Code, ok bool) { return }

// AppendString appends a UTF-8 encoded string.
func AppendString(dst []byte, s string) []byte { return dst }

// AppendBinary appends binary data.
func AppendBinary(dst, b []byte) []byte { return dst }

// ValidUTF8 reports whether b is a UTF-8 encoded string.
func ValidUTF8(b []byte) bool { return true }

// Append is described at Packet.
func (p *Publish) Append(dst []byte, v Version) []byte { return dst }

// Decode is described at Packet.
func (p *Publish) Decode(flags byte, body []byte, v Version) error { return nil }

// Append is described at Packet.
func (p *Connect) Append(dst []byte, v Version) []byte { return dst }

// Decode is described at Packet.
func (p *Connect) Decode(flags byte, body []byte, v Version) error { return nil }

// Append is described at Packet.
func (p *Connack) Append(dst []byte, v Version) []byte { return dst }

// Decode is described at Packet.
func (p *Connack) Decode(flags byte, body []byte, v Version) error { return nil }

// Append is described at Packet.
func (p *Subscribe) Append(dst []byte, v Version) []byte { return dst }

// Decode is described at Packet.
func (p *Subscribe) Decode(flags byte, body []byte, v Version) error { return nil }

// Append is described at Packet.
func (p *Suback) Append(dst []byte, v Version) []byte { return dst }

// Decode is described at Packet.
func (p *Suback) Decode(flags byte, body []byte, v Version) error { return nil }

// Append is described at Packet.
func (p *Unsubscribe) Append(dst []byte, v Version) []byte { return dst }

// Decode is described at Packet.
func (p *Unsubscribe) Decode(flags byte, body []byte, v Version) error { return nil }

// Append is described at Packet.
func (p *Unsuback) Append(dst []byte, v Version) []byte { return dst }

// Decode is described at Packet.
func (p *Unsuback) Decode(flags byte, body []byte, v Version) error { return nil }

// Append is described at Packet.
func (p *Disconnect) Append(dst []byte, v Version) []byte { return dst }

// Decode is described at Packet.
func (p *Disconnect) Decode(flags byte, body []byte, v Version) error { return nil }

// Append is described at Packet.
func (p *Auth) Append(dst []byte, v Version) []byte { return dst }

// Decode is described at Packet.
func (p *Auth) Decode(flags byte, body []byte, v Version) error { return nil }
