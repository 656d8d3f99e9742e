package packet_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/packet/packettest"
)

// split cuts a packet into its header and body.
func split(t *testing.T, b []byte) (packet.Header, []byte) {
	t.Helper()
	h, ok, err := packet.ReadHeader(b)
	if !ok || err != nil || h.Size+h.Remaining != len(b) {
		t.Fatalf("ReadHeader(% x) = %+v, %v, %v", b, h, ok, err)
	}
	return h, b[h.Size:]
}

// testPacket runs the table for one type: it parses, every truncated prefix fails, written bytes equal expected bytes,
// and what must be refused is refused for the right reason.
func testPacket(t *testing.T, typ packet.Type) {
	ran := 0
	for _, c := range packettest.Cases() {
		if c.Packet.Type() != typ {
			continue
		}
		ran++
		t.Run(c.Name, func(t *testing.T) {
			testParses(t, c)
			testPrefixesFail(t, c)
			testWritten(t, c)
		})
	}
	for _, r := range packettest.Refusals() {
		if packet.Type(r.Bytes[0]>>4) != typ {
			continue
		}
		ran++
		t.Run(r.Name, func(t *testing.T) { testRefused(t, r) })
	}
	if ran == 0 {
		t.Fatalf("no case for %v", typ)
	}
}

func testParses(t *testing.T, c packettest.Case) {
	h, body := split(t, c.Bytes)
	if err := h.CheckFlags(c.Version); err != nil {
		t.Errorf("CheckFlags: %v", err)
	}
	got, err := packet.Decode(h, body, c.Version)
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	if !reflect.DeepEqual(got, c.Packet) {
		t.Errorf("Decode:\n got %+v\nwant %+v", got, c.Packet)
	}
	if got.Type() != h.Type {
		t.Errorf("Type() = %v, want %v", got.Type(), h.Type)
	}
}

func testPrefixesFail(t *testing.T, c packettest.Case) {
	h, body := split(t, c.Bytes)
	for n := range body {
		_, err := packet.Decode(h, body[:n:n], c.Version)
		whole := false
		for _, w := range c.Whole {
			whole = whole || w == n
		}
		if p, ok := c.Packet.(*packet.Publish); ok && n >= len(body)-len(p.Payload) {
			whole = true
		}
		if whole != (err == nil) {
			t.Errorf("first %d of %d bytes: err = %v", n, len(body), err)
		}
	}
	for n := range h.Size {
		if _, ok, err := packet.ReadHeader(c.Bytes[:n]); ok || err != nil {
			t.Errorf("first %d bytes of the header: %v, %v", n, ok, err)
		}
	}
}

func testWritten(t *testing.T, c packettest.Case) {
	if got := c.Packet.Append(nil, c.Version); !bytes.Equal(got, c.Bytes) {
		t.Errorf("Append:\n got % x\nwant % x", got, c.Bytes)
	}
	got := c.Packet.Append([]byte("before"), c.Version)
	if want := append([]byte("before"), c.Bytes...); !bytes.Equal(got, want) {
		t.Errorf("Append behind other bytes:\n got % x\nwant % x", got, want)
	}
}

func testRefused(t *testing.T, r packettest.Refusal) {
	h, body := split(t, r.Bytes)
	p, err := packet.Decode(h, body, r.Version)
	if p != nil {
		t.Errorf("Decode gave %+v", p)
	}
	checkError(t, err, r.Code, r.Clause)
}

func checkError(t *testing.T, err error, code packet.Code, clause string) {
	t.Helper()
	var e *packet.Error
	if !errors.As(err, &e) {
		t.Fatalf("err = %v, want a *packet.Error", err)
	}
	if e.Code != code || e.Clause != clause {
		t.Errorf("refused with %v, want %v [%s]", e, code, clause)
	}
}

// Decoding resets what an earlier packet left behind, whatever it was.
func TestDecodeResets(t *testing.T) {
	cases := packettest.Cases()
	for _, first := range cases {
		for _, second := range cases {
			if first.Packet.Type() != second.Packet.Type() {
				continue
			}
			p := packet.New(first.Packet.Type(), packet.V5)
			for _, c := range []packettest.Case{first, second} {
				h, body := split(t, c.Bytes)
				if err := p.Decode(h.Flags, body, c.Version); err != nil {
					t.Fatalf("%s: %v", c.Name, err)
				}
			}
			if got := p.Append(nil, second.Version); !bytes.Equal(got, second.Bytes) {
				t.Errorf("%s after %s:\n got % x\nwant % x", second.Name, first.Name, got, second.Bytes)
			}
		}
	}
}

// Every packet but PUBLISH owns its memory.
func TestDecodeOwns(t *testing.T) {
	for _, c := range packettest.Cases() {
		if c.Packet.Type() == packet.TypePublish {
			continue
		}
		h, body := split(t, c.Bytes)
		p, err := packet.Decode(h, body, c.Version)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		clear(body)
		if !reflect.DeepEqual(p, c.Packet) {
			t.Errorf("%s changed with the body: %+v", c.Name, p)
		}
	}
}
