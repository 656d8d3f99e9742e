package packet

// MaxVarint is the largest value of a variable byte integer, and so the largest Remaining Length.
const MaxVarint = 268_435_455

// AppendVarint appends v as a variable byte integer in the fewest bytes [MQTT-1.5.5-1]. It panics above MaxVarint:
// whoever builds packets limits their size first.
func AppendVarint(dst []byte, v uint32) []byte {
	switch {
	case v < 1<<7:
		return append(dst, byte(v))
	case v < 1<<14:
		return append(dst, byte(v)|0x80, byte(v>>7))
	case v < 1<<21:
		return append(dst, byte(v)|0x80, byte(v>>7)|0x80, byte(v>>14))
	case v <= MaxVarint:
		return append(dst, byte(v)|0x80, byte(v>>7)|0x80, byte(v>>14)|0x80, byte(v>>21))
	}
	panic("packet: value too large for a variable byte integer")
}

// VarintSize is the number of bytes AppendVarint writes for v.
func VarintSize(v uint32) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<21:
		return 3
	}
	return 4
}

// ReadVarint reads a variable byte integer at the start of b and says how many bytes it took. n is 0 without an error
// when b ends inside the integer. A fifth byte and an encoding that is longer than needed are refused [MQTT-1.5.5-1].
// 3.1.1 does not forbid the latter; we refuse it in every version, because no sane sender does it and one reading of a
// length is safer than two.
func ReadVarint(b []byte) (v uint32, n int, err error) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint32(b[0]), 1, nil
	}
	return readLongVarint(b)
}

func readLongVarint(b []byte) (v uint32, n int, err error) {
	for i := 0; i < len(b); i++ {
		if i == 4 {
			break
		}
		v |= uint32(b[i]&0x7F) << (7 * i)
		if b[i] >= 0x80 {
			continue
		}
		if b[i] == 0 && i > 0 {
			return 0, 0, malformed("MQTT-1.5.5-1", "variable byte integer is longer than needed")
		}
		return v, i + 1, nil
	}
	if len(b) >= 4 {
		return 0, 0, malformed("1.5.5", "variable byte integer has more than four bytes")
	}
	return 0, 0, nil
}
