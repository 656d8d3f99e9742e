package packet

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Eight bytes are looked at in one word. With all high bits clear, (w - ones) & highs is not zero exactly when one of
// the bytes is zero, and XOR with a repeated byte turns the search for zero into the search for that byte.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// ValidUTF8 reports whether b may stand in a UTF-8 encoded string of any version: well-formed, without surrogates
// [MQTT-1.5.4-1] [3.1.1: MQTT-1.5.3-1] and without U+0000 [MQTT-1.5.4-2] [3.1.1: MQTT-1.5.3-2]. Control characters and non-characters pass: the standard says that
// they SHOULD NOT be sent, real devices send them, and whoever shows a string must escape it anyway. A byte order mark is a
// character like any other [MQTT-1.5.4-3] [3.1.1: MQTT-1.5.3-3].
func ValidUTF8(b []byte) bool {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if (w|(w-ones))&highs != 0 {
			return validSlow(b[i:])
		}
	}
	for ; i < len(b); i++ {
		if b[i]-1 >= 0x7F { // 0x00 wraps to 0xFF
			return validSlow(b[i:])
		}
	}
	return true
}

func validSlow(b []byte) bool { return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) }

// plainTopic reports whether b is ASCII without U+0000 and without a wildcard, as nearly all topic names are. What it turns
// down may still be good: checkOddTopic decides.
func plainTopic(b []byte) bool {
	if len(b) < 8 {
		for _, c := range b {
			if c-1 >= 0x7F || c == '+' || c == '#' {
				return false
			}
		}
		return true
	}
	for i := 0; i+8 < len(b); i += 8 {
		if wordIsOdd(binary.LittleEndian.Uint64(b[i:])) {
			return false
		}
	}
	// The last word overlaps the one before it, so that no byte is left over.
	return !wordIsOdd(binary.LittleEndian.Uint64(b[len(b)-8:]))
}

func wordIsOdd(w uint64) bool {
	plus, hash := w^('+'*ones), w^('#'*ones)
	return (w|(w-ones)|(plus-ones)|(hash-ones))&highs != 0
}

// checkOddTopic refuses what cannot be a topic name, except the empty one.
func checkOddTopic(b []byte) error {
	if !ValidUTF8(b) {
		return invalidUTF8()
	}
	if hasWildcard(b) {
		return &Error{TopicNameInvalid, "MQTT-3.3.2-2", "topic name contains a wildcard"}
	}
	return nil
}

func hasWildcard(b []byte) bool {
	return bytes.IndexByte(b, '+') >= 0 || bytes.IndexByte(b, '#') >= 0
}

//go:noinline
func invalidUTF8() *Error {
	return malformed("MQTT-1.5.4-1", "string is not valid UTF-8 or contains U+0000")
}
