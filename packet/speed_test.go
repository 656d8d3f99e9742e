package packet_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/packet/packettest"
)

// message is a PUBLISH that a broker sees by the million, in several forms.
type message struct {
	name string
	v    packet.Version
	p    packet.Publish
}

func messages() []message {
	plain := packet.Publish{Topic: []byte("plant/line3/press/temperature"), Payload: []byte("21.537 degrees C")}
	acked := plain
	acked.QoS, acked.PacketID = 1, 77
	rich := acked
	rich.PublishProperties = packet.PublishProperties{
		MessageExpiry: packet.Some[uint32](3600), TopicAlias: packet.Some[uint16](3),
		PayloadFormat: packet.Some[byte](1), ResponseTopic: []byte("plant/answers/17"), CorrelationData: []byte("0123456789"),
		User:            []packet.UserPair{{Key: []byte("unit"), Value: []byte("C")}, {Key: []byte("source"), Value: []byte("plc-4")}},
		SubscriptionIDs: []uint32{4, 900}, ContentType: []byte("text/plain"),
	}
	umlaut := plain
	umlaut.Topic = []byte("Werk/Straße3/Presse/Öltemperatur")
	return []message{
		{"3.1.1 QoS 0", packet.V311, plain},
		{"3.1.1 QoS 1", packet.V311, acked},
		{"3.1.1 umlaut", packet.V311, umlaut},
		{"5.0 QoS 1", packet.V5, acked},
		{"5.0 properties", packet.V5, rich},
	}
}

// body is what Decode gets.
func (m *message) body() (packet.Header, []byte) {
	b := m.p.Append(nil, m.v)
	h, _, _ := packet.ReadHeader(b)
	return h, b[h.Size:]
}

func TestPublishDoesNotAllocate(t *testing.T) {
	for _, m := range messages() {
		h, body := m.body()
		var p packet.Publish
		if n := testing.AllocsPerRun(100, func() {
			if err := p.Decode(h.Flags, body, m.v); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("Decode of %s allocates %v times", m.name, n)
		}
		buf := make([]byte, 0, 1024)
		if n := testing.AllocsPerRun(100, func() { buf = p.Append(buf[:0], m.v) }); n != 0 {
			t.Errorf("Append of %s allocates %v times", m.name, n)
		}
	}
}

func TestAckDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 16)
	var p packet.Puback
	if n := testing.AllocsPerRun(100, func() {
		buf = packet.AppendAck(buf[:0], packet.TypePuback, 5)
		h, _, _ := packet.ReadHeader(buf)
		if _, _, ok := packet.ReadAck(buf[h.Size:], packet.V5); !ok {
			t.Fatal("not read")
		}
		if err := p.Decode(h.Flags, buf[h.Size:], packet.V5); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("an acknowledgement allocates %v times", n)
	}
}

// A refused packet costs a handful of small allocations, however long it is.
func TestRefusalIsCheap(t *testing.T) {
	for _, r := range packettest.Refusals() {
		h, body := split(t, r.Bytes)
		p := packet.New(h.Type, r.Version)
		if p == nil {
			continue
		}
		if n := testing.AllocsPerRun(10, func() {
			if p.Decode(h.Flags, body, r.Version) == nil {
				t.Fatal("accepted")
			}
		}); n > 20 {
			t.Errorf("%s: %v allocations", r.Name, n)
		}
	}
	codes := append([]byte{0, 1}, []byte(strings.Repeat("\xff", 1<<16))...)
	var p packet.Suback
	if n := testing.AllocsPerRun(10, func() { _ = p.Decode(0, codes, packet.V311) }); n > 20 {
		t.Errorf("SUBACK of wrong codes: %v allocations", n)
	}
}

func BenchmarkPublishDecode(b *testing.B) {
	for _, m := range messages() {
		b.Run(m.name, func(b *testing.B) {
			h, body := m.body()
			var p packet.Publish
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Decode(h.Flags, body, m.v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPublishAppend(b *testing.B) {
	for _, m := range messages() {
		b.Run(m.name, func(b *testing.B) {
			buf := make([]byte, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				buf = m.p.Append(buf[:0], m.v)
			}
		})
	}
}

func BenchmarkReadHeader(b *testing.B) {
	buf := []byte{0x30, 0x2f}
	for b.Loop() {
		if _, ok, _ := packet.ReadHeader(buf); !ok {
			b.Fatal("incomplete")
		}
	}
}

func BenchmarkAck(b *testing.B) {
	buf := make([]byte, 0, 16)
	for b.Loop() {
		buf = packet.AppendAck(buf[:0], packet.TypePuback, 9)
		if _, _, ok := packet.ReadAck(buf[2:], packet.V5); !ok {
			b.Fatal("not read")
		}
	}
}

func BenchmarkValidUTF8(b *testing.B) {
	for _, n := range []int{8, 32, 256} {
		s := []byte(strings.Repeat("a", n))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				if !packet.ValidUTF8(s) {
					b.Fatal("invalid")
				}
			}
		})
	}
}

// BenchmarkConnectDecode has the worst user properties an attacker can send: many and short.
func BenchmarkConnectDecode(b *testing.B) {
	for _, n := range []int{0, 1000, 10000} {
		c := packet.Connect{Version: packet.V5, ClientID: "device-17", Username: packet.Some("u"), User: make([]packet.UserProperty, n)}
		buf := c.Append(nil, packet.V5)
		h, _, _ := packet.ReadHeader(buf)
		b.Run(fmt.Sprintf("%d user properties", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var p packet.Connect
				if err := p.Decode(0, buf[h.Size:], 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
