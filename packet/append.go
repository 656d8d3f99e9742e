package packet

import "encoding/binary"

// MaxString is the largest size of a string or binary field in bytes: its length is written in two [MQTT-4.7.3-3].
const MaxString = 65535

// AppendString appends a UTF-8 encoded string: its length in two bytes, then s. It does not check the characters, and
// panics when s exceeds MaxString.
func AppendString(dst []byte, s string) []byte {
	return append(appendLength(dst, len(s)), s...)
}

// AppendBinary appends binary data: its length in two bytes, then b. It panics when b exceeds MaxString.
func AppendBinary(dst, b []byte) []byte {
	return append(appendLength(dst, len(b)), b...)
}

func appendLength(dst []byte, n int) []byte {
	if n > MaxString {
		panic("packet: string longer than 65535 bytes")
	}
	return append(dst, byte(n>>8), byte(n))
}

// openLength leaves room for a variable byte integer that closeLength fills in, once what it counts has been appended.
func openLength(dst []byte) (out []byte, mark int) {
	return append(dst, 0), len(dst)
}

// closeLength writes the number of bytes behind the mark. One byte was left; the rest is moved when that is too few,
// which is rare and costs one copy.
func closeLength(dst []byte, mark int) []byte {
	n := len(dst) - mark - 1
	if n < 0x80 {
		dst[mark] = byte(n)
		return dst
	}
	var length [4]byte
	enc := AppendVarint(length[:0], uint32(min(n, MaxVarint+1)))
	dst = append(dst, enc[1:]...)
	copy(dst[mark+len(enc):], dst[mark+1:mark+1+n])
	copy(dst[mark:], enc)
	return dst
}

// open starts a packet of type t. The mark goes to closeLength.
func open(dst []byte, t Type) (out []byte, mark int) {
	return openLength(append(dst, t.firstByte()))
}

func appendUint16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }

func appendOptByte(dst []byte, id PropertyID, o Opt[byte]) []byte {
	if !o.Set {
		return dst
	}
	return append(dst, byte(id), o.Value)
}

func appendOptUint16(dst []byte, id PropertyID, o Opt[uint16]) []byte {
	if !o.Set {
		return dst
	}
	return binary.BigEndian.AppendUint16(append(dst, byte(id)), o.Value)
}

func appendOptUint32(dst []byte, id PropertyID, o Opt[uint32]) []byte {
	if !o.Set {
		return dst
	}
	return binary.BigEndian.AppendUint32(append(dst, byte(id)), o.Value)
}

func appendOptString(dst []byte, id PropertyID, o Opt[string]) []byte {
	if !o.Set {
		return dst
	}
	return AppendString(append(dst, byte(id)), o.Value)
}

// appendOptBinary leaves out nil.
func appendOptBinary(dst []byte, id PropertyID, b []byte) []byte {
	if b == nil {
		return dst
	}
	return AppendBinary(append(dst, byte(id)), b)
}

// appendUser writes user properties in their order.
func appendUser(dst []byte, user []UserProperty) []byte {
	for _, u := range user {
		dst = append(dst, byte(PropUser))
		dst = AppendString(dst, u.Key)
		dst = AppendString(dst, u.Value)
	}
	return dst
}
