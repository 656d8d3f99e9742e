package packet_test

import (
	"bytes"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestPuback(t *testing.T) { testPacket(t, packet.TypePuback) }

// The short ways to write and read an acknowledgement agree with the long ones.
func TestAppendAckReadAck(t *testing.T) {
	for typ := packet.TypePuback; typ <= packet.TypePubcomp; typ++ {
		for _, v := range []packet.Version{packet.V31, packet.V311, packet.V5} {
			b := packet.AppendAck(nil, typ, 0x1234)
			h, body := split(t, b)
			p, err := packet.Decode(h, body, v)
			if err != nil {
				t.Fatalf("%v %v: %v", typ, v, err)
			}
			if got := p.Append(nil, v); !bytes.Equal(got, b) {
				t.Errorf("%v %v: AppendAck wrote % x, Append % x", typ, v, b, got)
			}
			if id, code, ok := packet.ReadAck(body, v); id != 0x1234 || code != packet.Success || !ok {
				t.Errorf("%v %v: ReadAck = %d, %v, %v", typ, v, id, code, ok)
			}
		}
	}
}

func TestReadAckDeclines(t *testing.T) {
	for _, c := range []struct {
		body string
		v    packet.Version
		ok   bool
	}{
		{"\x00\x01\x00", packet.V5, true},
		{"\x00\x01\x00\x00", packet.V5, true},
		{"\x00\x01\x00", packet.V311, false},
		{"\x00\x01\x00\x00", packet.V311, false},
		{"\x00\x01\x10", packet.V5, false},
		{"\x00\x01\x00\x01", packet.V5, false},
		{"\x00\x00", packet.V5, false},
		{"\x01", packet.V5, false},
		{"", packet.V311, false},
	} {
		if _, _, ok := packet.ReadAck([]byte(c.body), c.v); ok != c.ok {
			t.Errorf("ReadAck(% x, %v) = %v", c.body, c.v, ok)
		}
		var p packet.Puback
		if err := p.Decode(0, []byte(c.body), c.v); c.ok && err != nil {
			t.Errorf("ReadAck takes % x, Decode does not: %v", c.body, err)
		}
	}
}
