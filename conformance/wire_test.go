package main

import "testing"

// FuzzParse: no bytes of a broker make the suite panic, and a PUBLISH that is read is written the same.
func FuzzParse(f *testing.F) {
	f.Add(byte(0x32), message{topic: "a", qos: 1, id: 7, payload: "x", props: user("k", "v") + "\x0b\x80\x01"}.bytes(v5)[2:])
	f.Add(byte(0x31), message{topic: "a/b", retain: true}.bytes(v4)[2:])
	f.Add(byte(0x30), "\x00\x01a\xff\xff\xff\x7f")
	f.Fuzz(func(t *testing.T, first byte, body string) {
		for _, v := range []byte{v4, v5} {
			m, ok := parse(first, body, v)
			if !ok {
				continue
			}
			for id := range byte(0x30) {
				if value, ok := property(m.props, id); len(value) > len(m.props) || !ok && value != "" {
					t.Errorf("property %02x of %x is %x", id, m.props, value)
				}
			}
			if again := m.bytes(v); m.qos > 0 || first&0x06 == 0 {
				if m2, ok := parse(again[0], again[len(again)-rest(again):], v); !ok || m2 != m {
					t.Errorf("%v is written as %x", m, again)
				}
			}
		}
	})
}

// rest is how many bytes of a packet are its body.
func rest(packet string) int {
	body, _, _ := cutCounted(packet[1:])
	return len(body)
}
