package packet_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/packet/packettest"
)

// FuzzDecode reads any body as any packet of any version. What is refused is refused with a code and a clause; what is
// accepted survives being written and read again; and neither costs more memory than the input accounts for.
func FuzzDecode(f *testing.F) {
	for _, c := range packettest.Cases() {
		h, _, _ := packet.ReadHeader(c.Bytes)
		f.Add(c.Bytes[0], byte(c.Version), c.Bytes[h.Size:])
	}
	for _, r := range packettest.Refusals() {
		h, _, _ := packet.ReadHeader(r.Bytes)
		f.Add(r.Bytes[0], byte(r.Version), r.Bytes[h.Size:])
	}
	f.Fuzz(func(t *testing.T, first, version byte, body []byte) {
		h := packet.Header{Type: packet.Type(first >> 4), Flags: first & 15, Remaining: len(body)}
		v := packet.V31 + packet.Version(version%3)
		before := allocated()
		p, err := packet.Decode(h, body, v)
		if n := allocated() - before; n > allocationLimit(len(body)) {
			t.Errorf("%d bytes were decoded into %d", len(body), n)
		}
		if err != nil {
			checkRefusal(t, p, err)
			return
		}
		if err := h.CheckFlags(v); err != nil {
			t.Errorf("Decode accepts what CheckFlags refuses: %v", err)
		}
		checkRoundTrip(t, p, v)
	})
}

// allocated is the number of bytes allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// allocationLimit follows from the worst case: user properties of 5 bytes that become two string headers of 32 bytes, in
// a slice that grows by a quarter at a time. The constant covers what the test itself and small packets need.
func allocationLimit(n int) uint64 { return uint64(n)*48 + 64<<10 }

func checkRefusal(t *testing.T, p packet.Packet, err error) {
	var e *packet.Error
	if !errors.As(err, &e) || !e.Code.Failed() || e.Clause == "" || e.Msg == "" {
		t.Errorf("refused with %#v", err)
	}
	if p != nil {
		t.Errorf("refused and returned %+v", p)
	}
}

func checkRoundTrip(t *testing.T, p packet.Packet, v packet.Version) {
	b := p.Append(nil, v)
	h, ok, err := packet.ReadHeader(b)
	if !ok || err != nil || h.Size+h.Remaining != len(b) {
		t.Fatalf("%+v was written as % x: %+v, %v, %v", p, b, h, ok, err)
	}
	q, err := packet.Decode(h, b[h.Size:], v)
	if err != nil {
		t.Fatalf("%+v was written as % x: %v", p, b, err)
	}
	if !reflect.DeepEqual(p, q) {
		t.Fatalf("%+v came back as %+v", p, q)
	}
	if again := q.Append(nil, v); !bytes.Equal(again, b) {
		t.Fatalf("written as % x, then as % x", b, again)
	}
	if publish, ok := p.(*packet.Publish); ok && v >= packet.V5 {
		checkForward(t, publish)
	}
}

// checkForward writes the fields in place of Forward: the same properties must come back, up to their order.
func checkForward(t *testing.T, p *packet.Publish) {
	fields := *p
	fields.Forward = nil
	b := fields.Append(nil, packet.V5)
	h, _, _ := packet.ReadHeader(b)
	var q packet.Publish
	if err := q.Decode(h.Flags, b[h.Size:], packet.V5); err != nil {
		t.Fatalf("%+v was written as % x: %v", fields, b, err)
	}
	if len(q.Forward) != len(p.Forward) {
		t.Errorf("Forward has %d bytes, the fields %d", len(p.Forward), len(q.Forward))
	}
	q.Forward = nil
	if !reflect.DeepEqual(&fields, &q) {
		t.Errorf("%+v came back as %+v", fields, q)
	}
}

// FuzzReadHeader cuts a stream at every place: what is read from a prefix is read from the whole, and nothing is decided
// too early.
func FuzzReadHeader(f *testing.F) {
	f.Add([]byte{0x30, 0x80, 0x80, 0x80, 0x01})
	f.Add([]byte{0x10, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{0xc0, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok, err := packet.ReadHeader(b)
		if ok && (h.Size < 2 || h.Size > 5 || h.Remaining > packet.MaxVarint) {
			t.Errorf("ReadHeader(% x) = %+v", b, h)
		}
		if ok && h.Size != 1+packet.VarintSize(uint32(h.Remaining)) {
			t.Errorf("% x is not the shortest form of %d", b[:h.Size], h.Remaining)
		}
		if len(b) >= 5 && !ok && err == nil {
			t.Errorf("ReadHeader(% x) waits for more than five bytes", b)
		}
		for n := range b {
			h2, ok2, err2 := packet.ReadHeader(b[:n])
			if ok2 && h2 != h || err2 != nil && err == nil || ok && n >= h.Size && !ok2 {
				t.Errorf("first %d of % x: %+v, %v, %v", n, b, h2, ok2, err2)
			}
		}
	})
}
