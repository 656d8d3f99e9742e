package packet_test

import (
	"bytes"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestVarint(t *testing.T) {
	for _, c := range []struct {
		v uint32
		b string
	}{
		{0, "\x00"}, {127, "\x7f"}, // the limits of table 1-1
		{128, "\x80\x01"}, {16383, "\xff\x7f"},
		{16384, "\x80\x80\x01"}, {2097151, "\xff\xff\x7f"},
		{2097152, "\x80\x80\x80\x01"}, {packet.MaxVarint, "\xff\xff\xff\x7f"},
	} {
		if got := packet.AppendVarint(nil, c.v); string(got) != c.b {
			t.Errorf("AppendVarint(%d) = % x, want % x", c.v, got, c.b)
		}
		if got := packet.VarintSize(c.v); got != len(c.b) {
			t.Errorf("VarintSize(%d) = %d, want %d", c.v, got, len(c.b))
		}
		if v, n, err := packet.ReadVarint([]byte(c.b + "x")); v != c.v || n != len(c.b) || err != nil {
			t.Errorf("ReadVarint(% x) = %d, %d, %v", c.b, v, n, err)
		}
		for i := range c.b {
			if _, n, err := packet.ReadVarint([]byte(c.b[:i])); n != 0 || err != nil {
				t.Errorf("ReadVarint(% x) = %d bytes, %v; want to wait", c.b[:i], n, err)
			}
		}
	}
}

func TestVarintRefused(t *testing.T) {
	for _, c := range []struct{ b, clause string }{
		{"\x80\x00", "MQTT-1.5.5-1"},
		{"\x81\x00", "MQTT-1.5.5-1"},
		{"\xff\xff\x00", "MQTT-1.5.5-1"},
		{"\xff\xff\xff\x00", "MQTT-1.5.5-1"},
		{"\xff\xff\xff\xff", "1.5.5"}, // no need to wait for the fifth byte
		{"\x80\x80\x80\x80\x01", "1.5.5"},
		{"\x80\x80\x80\x80\x00", "1.5.5"},
	} {
		_, _, err := packet.ReadVarint([]byte(c.b))
		checkError(t, err, packet.MalformedPacket, c.clause)
	}
}

func TestVarintTooLarge(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("AppendVarint wrote a value that no receiver can read")
		}
	}()
	packet.AppendVarint(nil, packet.MaxVarint+1)
}

func TestReadHeader(t *testing.T) {
	h, ok, err := packet.ReadHeader([]byte{0x3d, 0x80, 0x80, 0x01, 0xff})
	want := packet.Header{Type: packet.TypePublish, Flags: 0x0d, Remaining: 16384, Size: 4}
	if h != want || !ok || err != nil {
		t.Errorf("ReadHeader = %+v, %v, %v; want %+v", h, ok, err, want)
	}
	for _, b := range []string{"", "\x30", "\x30\x80", "\x30\x80\x80\x80", "\xff\xff"} {
		if _, ok, err := packet.ReadHeader([]byte(b)); ok || err != nil {
			t.Errorf("ReadHeader(% x) = %v, %v; want to wait", b, ok, err)
		}
	}
	_, ok, err = packet.ReadHeader([]byte{0x10, 0xff, 0xff, 0xff, 0xff})
	if ok {
		t.Error("five bytes of length were accepted")
	}
	checkError(t, err, packet.MalformedPacket, "1.5.5")
	_, _, err = packet.ReadHeader([]byte{0x10, 0x80, 0x00})
	checkError(t, err, packet.MalformedPacket, "MQTT-1.5.5-1")
}

// Every pair of type and flags, against the table of section 2.1.3 [MQTT-2.1.3-1].
func TestCheckFlags(t *testing.T) {
	for _, v := range []packet.Version{packet.V31, packet.V311, packet.V5} {
		for b := range 256 {
			h := packet.Header{Type: packet.Type(b >> 4), Flags: byte(b & 15)}
			if got := h.CheckFlags(v) == nil; got != flagsAllowed(h, v) {
				t.Errorf("%v: first byte %02x allowed = %v", v, b, got)
			}
		}
	}
}

func flagsAllowed(h packet.Header, v packet.Version) bool {
	switch h.Type {
	case 0:
		return false
	case packet.TypePublish:
		return bytes.IndexByte([]byte{0, 1, 2, 3, 4, 5, 10, 11, 12, 13}, h.Flags) >= 0
	case packet.TypePubrel, packet.TypeSubscribe, packet.TypeUnsubscribe:
		return h.Flags == 2 || v == packet.V31 && h.Flags == 10
	case packet.TypeAuth:
		return v == packet.V5 && h.Flags == 0
	}
	return h.Flags == 0
}
