package packet

import "encoding/binary"

// reader walks over a body. It is sticky: after the first failure every method returns zero values and moves no further,
// so that a decoder reads field after field and looks at err once. What it returns as []byte is a part of the body.
type reader struct {
	b   []byte // what is left
	err error
}

// fail keeps the first error; nil is none.
func (r *reader) fail(err error) {
	if err != nil && r.err == nil {
		r.err = err
		r.b = nil
	}
}

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.fail(truncated())
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint16() uint16 {
	if len(r.b) < 2 {
		r.fail(truncated())
		return 0
	}
	v := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return v
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.fail(truncated())
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) varint() uint32 {
	v, n, err := ReadVarint(r.b)
	if err != nil {
		r.fail(err)
		return 0
	}
	if n == 0 {
		r.fail(truncated())
		return 0
	}
	r.b = r.b[n:]
	return v
}

// packetID reads a packet identifier, which is not 0 wherever there is one [MQTT-2.2.1-3] [MQTT-2.2.1-4]
// [3.1.1: MQTT-2.3.1-1].
func (r *reader) packetID() uint16 {
	id := r.uint16()
	if id == 0 && r.err == nil {
		r.fail(protocolError("MQTT-2.2.1-3", "packet identifier is 0"))
	}
	return id
}

// take returns the next n bytes. Its capacity ends with them, so that an append by the caller cannot reach the rest.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail(truncated())
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// binary reads binary data, borrowed; not nil unless the reader failed.
func (r *reader) binary() []byte {
	if len(r.b) < 2 {
		r.fail(truncated())
		return nil
	}
	end := 2 + (int(r.b[0])<<8 | int(r.b[1]))
	if end > len(r.b) {
		r.fail(truncated())
		return nil
	}
	b := r.b[2:end:end]
	r.b = r.b[end:]
	return b
}

// ownBinary reads binary data into fresh memory; not nil unless the reader failed.
func (r *reader) ownBinary() []byte {
	b := r.binary()
	if r.err != nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

// text reads a UTF-8 encoded string, borrowed.
func (r *reader) text() []byte {
	b := r.binary()
	if !ValidUTF8(b) {
		r.fail(invalidUTF8())
		return nil
	}
	return b
}

// string reads a UTF-8 encoded string into fresh memory.
func (r *reader) string() string { return string(r.text()) }

// countStrings counts the strings in b, each with extra bytes behind it, so that room for them is made once. It looks at
// bytes that are there, never at a number that the peer announces.
func countStrings(b []byte, extra int) int {
	n := 0
	for len(b) >= 2 {
		size := 2 + int(binary.BigEndian.Uint16(b)) + extra
		if size > len(b) {
			break
		}
		b = b[size:]
		n++
	}
	return n
}

// willTopic reads a Will Topic into fresh memory: a topic name of at least one character [MQTT-3.1.3-11].
func (r *reader) willTopic() string {
	b := r.text()
	switch {
	case r.err != nil:
	case len(b) == 0:
		r.fail(&Error{TopicNameInvalid, "MQTT-4.7.3-1", "Will Topic is empty"})
	case hasWildcard(b):
		r.fail(&Error{TopicNameInvalid, "MQTT-4.7.0-1", "Will Topic contains a wildcard"})
	}
	return string(b)
}

// responseTopic reads a Response Topic, borrowed [MQTT-3.3.2-13].
func (r *reader) responseTopic() []byte {
	b := r.text()
	switch {
	case r.err != nil:
	case len(b) == 0:
		r.fail(protocolError("MQTT-4.7.3-1", "Response Topic is empty"))
	case hasWildcard(b):
		r.fail(malformed("MQTT-3.3.2-14", "Response Topic contains a wildcard"))
	}
	return b
}

// end gives the first error, or refuses bytes that no field has claimed.
func (r *reader) end() error {
	if r.err == nil && len(r.b) != 0 {
		r.err = trailing()
	}
	return r.err
}
