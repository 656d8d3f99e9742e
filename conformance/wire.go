package main

import (
	"fmt"
	"strings"
)

// Versions as they are on the wire.
const (
	v4 byte = 4 // 3.1.1
	v5 byte = 5
)

// packet puts one together: the first byte, the length, and the parts of the body.
func packet(first byte, parts ...string) string { return string([]byte{first}) + counted(parts...) }

// counted puts the length of the parts before them, as a variable byte integer.
func counted(parts ...string) string {
	body := strings.Join(parts, "")
	return varint(len(body)) + body
}

func varint(n int) string {
	var b []byte
	for {
		digit := byte(n % 128)
		if n /= 128; n == 0 {
			return string(append(b, digit))
		}
		b = append(b, digit|128)
	}
}

func u16(n uint16) string { return string([]byte{byte(n >> 8), byte(n)}) }
func u32(n uint32) string { return u16(uint16(n>>16)) + u16(uint16(n)) }

// str is a string, or binary data, behind its length.
func str(s string) string { return u16(uint16(len(s))) + s }

// ifV5 is s in 5.0 and nothing before.
func ifV5(v byte, s string) string {
	if v == v5 {
		return s
	}
	return ""
}

// hello is a CONNECT. Its zero value has clean session or start 0 and an empty identifier.
type hello struct {
	id       string
	clean    bool
	keep     uint16
	props    string // without their length
	will     *will
	user     string // "" is none
	password string // "" is none
}

type will struct {
	topic, payload string
	qos            byte
	retain         bool
	props          string
}

func (h *hello) bytes(v byte) string {
	flags := byte(0)
	fields := str(h.id)
	if h.clean {
		flags |= 2
	}
	if w := h.will; w != nil {
		flags |= 4 | w.qos<<3
		if w.retain {
			flags |= 32
		}
		fields += ifV5(v, counted(w.props)) + str(w.topic) + str(w.payload)
	}
	if h.user != "" {
		flags |= 128
		fields += str(h.user)
	}
	if h.password != "" {
		flags |= 64
		fields += str(h.password)
	}
	return connect(v, flags, h.keep, h.props, fields)
}

// connect is a CONNECT with any flags and fields.
func connect(v, flags byte, keep uint16, props, fields string) string {
	return packet(0x10, str("MQTT"), string([]byte{v, flags}), u16(keep), ifV5(v, counted(props)), fields)
}

// message is a PUBLISH.
type message struct {
	topic, payload string
	qos            byte
	id             uint16
	dup, retain    bool
	props          string
}

func (m message) bytes(v byte) string {
	first := 0x30 | m.qos<<1
	if m.dup {
		first |= 8
	}
	if m.retain {
		first |= 1
	}
	id := ""
	if m.qos > 0 {
		id = u16(m.id)
	}
	return packet(first, str(m.topic), id, ifV5(v, counted(m.props)), m.payload)
}

func (m message) String() string {
	s := fmt.Sprintf("%q %.40q qos %d id %d", m.topic, m.payload, m.qos, m.id)
	if m.dup {
		s += " dup"
	}
	if m.retain {
		s += " retain"
	}
	if m.props != "" {
		s += fmt.Sprintf(" properties %x", m.props)
	}
	return s
}

// parse reads a PUBLISH. ok is false if it is none.
func parse(first byte, body string, v byte) (m message, ok bool) {
	if first>>4 != 3 || len(body) < 2 {
		return m, false
	}
	m.dup, m.qos, m.retain = first&8 != 0, first>>1&3, first&1 != 0
	n := 2 + int(body[0])<<8 + int(body[1])
	if len(body) < n {
		return m, false
	}
	m.topic, body = body[2:n], body[n:]
	if m.qos > 0 {
		if len(body) < 2 {
			return m, false
		}
		m.id, body = uint16(body[0])<<8|uint16(body[1]), body[2:]
	}
	if v == v5 {
		if m.props, body, ok = cutCounted(body); !ok {
			return m, false
		}
	}
	m.payload = body
	return m, true
}

// cutCounted takes what counted wrote from the front.
func cutCounted(s string) (head, rest string, ok bool) {
	n, size := 0, 0
	for shift := 0; ; shift += 7 {
		if size == len(s) || size == 4 {
			return "", "", false
		}
		digit := s[size]
		size++
		n |= int(digit&127) << shift
		if digit < 128 {
			break
		}
	}
	if len(s)-size < n {
		return "", "", false
	}
	return s[size : size+n], s[size+n:], true
}

func subscribe(v byte, id uint16, props string, pairs ...string) string {
	return packet(0x82, u16(id), ifV5(v, counted(props)), strings.Join(pairs, ""))
}

// filter is one of SUBSCRIBE with its options.
func filter(f string, options byte) string { return str(f) + string([]byte{options}) }

func unsubscribe(v byte, id uint16, filters ...string) string {
	body := ""
	for _, f := range filters {
		body += str(f)
	}
	return packet(0xa2, u16(id), ifV5(v, counted()), body)
}

func ack(first byte, id uint16) string { return packet(first, u16(id)) }

// property finds the first property with this identifier among those of a packet.
func property(props string, id byte) (value string, ok bool) {
	for len(props) > 0 {
		at, n := props[0], 0
		props = props[1:]
		switch at {
		case 0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a:
			n = 1
		case 0x13, 0x21, 0x22, 0x23:
			n = 2
		case 0x02, 0x11, 0x18, 0x27:
			n = 4
		case 0x0b:
			for n < len(props) && props[n] >= 128 {
				n++
			}
			n++
		case 0x26:
			n = length(props, 0)
			n = length(props, n)
		default:
			n = length(props, 0)
		}
		if n > len(props) {
			return "", false
		}
		if at == id {
			return props[:n], true
		}
		props = props[n:]
	}
	return "", false
}

// length is where a string that begins at a place ends.
func length(s string, from int) int {
	if len(s) < from+2 {
		return len(s) + 1
	}
	return from + 2 + int(s[from])<<8 + int(s[from+1])
}

// user is a User Property.
func user(key, value string) string { return "\x26" + str(key) + str(value) }
