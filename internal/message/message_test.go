package message

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// decode reads a whole PUBLISH.
func decode(t testing.TB, raw []byte, v packet.Version) *packet.Publish {
	t.Helper()
	h, ok, err := packet.ReadHeader(raw)
	if err != nil || !ok || h.Size+h.Remaining != len(raw) || h.Type != packet.TypePublish {
		t.Fatalf("not one PUBLISH: %x: %v", raw, err)
	}
	p := new(packet.Publish)
	if err := p.Decode(h.Flags, raw[h.Size:], v); err != nil {
		t.Fatalf("%x: %v", raw, err)
	}
	return p
}

// forward are properties that are passed on, encoded.
func forward(t testing.TB) []byte {
	in := packet.Publish{Topic: []byte("x")}
	in.PayloadFormat = packet.Some[byte](1)
	in.ResponseTopic, in.CorrelationData, in.ContentType = []byte("r"), []byte{0, 255}, []byte("c")
	in.User = []packet.UserPair{{Key: []byte("b"), Value: []byte("1")}, {Key: []byte("a"), Value: []byte("2")}, {Key: []byte("b"), Value: []byte("1")}}
	return decode(t, in.Append(nil, packet.V5), packet.V5).Forward
}

// TestAppend writes every combination and reads it with the packet's decoder.
func TestAppend(t *testing.T) {
	const now = 1_000_000
	props := forward(t)
	for _, payload := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("y"), 130), bytes.Repeat([]byte("z"), 20_000)} {
		for _, ps := range [][]byte{nil, props} {
			for _, expires := range []int64{0, now + 1, now + 1000, now + 1001, now - 5, now + 5_000_000_000_000} {
				m := &Message{Topic: "a/b", Payload: payload, Props: ps, Expires: expires}
				copies(func(c *Copy) { checkCopy(t, m, c, now) })
			}
		}
	}
}

func copies(yield func(c *Copy)) {
	for _, v := range []packet.Version{packet.V31, packet.V311, packet.V5} {
		for flags := range 2 * 2 * 3 {
			c := Copy{Version: v, Retain: flags&1 != 0, QoS: byte(flags / 4), PacketID: 65535}
			if c.QoS > 0 {
				c.Dup = flags&2 != 0
			}
			yield(&c)
			if v < packet.V5 {
				continue
			}
			for _, ids := range [][]uint32{nil, {1}, {127, 128, 268_435_455}} {
				for _, alias := range []uint16{0, 1, 65535} {
					k := c
					k.IDs, k.Alias, k.NoTopic = ids, alias, alias == 65535
					yield(&k)
				}
			}
		}
	}
}

func checkCopy(t *testing.T, m *Message, c *Copy, now int64) {
	t.Helper()
	raw := m.Append([]byte("before"), c, now)
	p := decode(t, raw[len("before"):], c.Version)
	name := fmt.Sprintf("%+v of %d bytes, expires %d", *c, len(m.Payload), m.Expires)
	topic := m.Topic
	if c.NoTopic {
		topic = ""
	}
	if string(p.Topic) != topic || !bytes.Equal(p.Payload, m.Payload) || p.QoS != c.QoS || p.Dup != c.Dup || p.Retain != c.Retain {
		t.Fatalf("%s: %+v", name, p)
	}
	if c.QoS > 0 && p.PacketID != c.PacketID {
		t.Fatalf("%s: identifier %d", name, p.PacketID)
	}
	if c.Version < packet.V5 {
		return
	}
	if !bytes.Equal(p.Forward, m.Props) || !slices.Equal(p.SubscriptionIDs, c.IDs) || p.TopicAlias.Value != c.Alias {
		t.Fatalf("%s: %+v", name, p)
	}
	left := map[int64]uint32{0: 0, now + 1: 1, now + 1000: 1, now + 1001: 2, now - 5: 0, now + 5_000_000_000_000: 4294967295}[m.Expires]
	if p.MessageExpiry.Set != (m.Expires != 0) || p.MessageExpiry.Value != left { // [MQTT-3.3.2-6]
		t.Fatalf("%s: expiry %+v", name, p.MessageExpiry)
	}
}

func TestExpired(t *testing.T) {
	for _, tc := range []struct {
		expires, now int64
		want         bool
	}{{0, 1 << 60, false}, {5, 4, false}, {5, 5, true}, {5, 6, true}} {
		if got := (&Message{Expires: tc.expires}).Expired(tc.now); got != tc.want { // [MQTT-3.3.2-5]
			t.Errorf("%+v: %t", tc, got)
		}
	}
}

// TestTooLarge: what the protocol cannot say is not written.
func TestTooLarge(t *testing.T) {
	payload := make([]byte, packet.MaxVarint-3)
	m := &Message{Topic: "a", Payload: payload}
	if n := len(m.Append(nil, &Copy{Version: packet.V311}, 0)); n != packet.MaxVarint+5 {
		t.Errorf("the largest packet has %d bytes", n)
	}
	if got := m.Append([]byte("x"), &Copy{Version: packet.V5}, 0); string(got) != "x" {
		t.Errorf("%d bytes of a packet that is too large", len(got))
	}
	var p Publication
	p.SetKept(m, 0)
	if len(p.Frame(packet.V5, 1, false)) != 0 || len(p.FrameID(packet.V5, 2, false, 7)) != 0 {
		t.Error("a frame of a packet that is too large")
	}
}

// publication is a PUBLISH as it comes from a client.
func publication(t testing.TB, in *packet.Publish, v packet.Version) (p *Publication, raw []byte) {
	raw = in.Append(nil, v)
	p = new(Publication)
	p.Set(decode(t, raw, v), raw, v, 1000)
	return p, raw
}

// TestPassThrough: a receiver for whom nothing changes gets the very bytes.
func TestPassThrough(t *testing.T) {
	plain := packet.PublishProperties{User: []packet.UserPair{{Key: []byte("k"), Value: []byte("v")}}}
	expiring := plain
	expiring.MessageExpiry = packet.Some[uint32](60)
	aliased := plain
	aliased.TopicAlias = packet.Some[uint16](1)
	for _, tc := range []struct {
		name     string
		in       packet.Publish
		from, to packet.Version
		qos      byte
		retain   bool
		same     bool
	}{
		{"QoS 0", packet.Publish{}, packet.V311, packet.V311, 0, false, true},
		{"3.1 to 3.1.1", packet.Publish{}, packet.V31, packet.V311, 0, false, true},
		{"QoS 1", packet.Publish{QoS: 1, PacketID: 5}, packet.V311, packet.V311, 1, false, true},
		{"QoS 2 to 1", packet.Publish{QoS: 2, PacketID: 5}, packet.V311, packet.V311, 1, false, true},
		{"QoS 1 to 0", packet.Publish{QoS: 1, PacketID: 5}, packet.V311, packet.V311, 0, false, false},
		{"3.1.1 to 5.0", packet.Publish{}, packet.V311, packet.V5, 0, false, false},
		{"5.0 to 3.1.1", packet.Publish{}, packet.V5, packet.V311, 0, false, false},
		{"properties", packet.Publish{PublishProperties: plain}, packet.V5, packet.V5, 0, false, true},
		{"expiry", packet.Publish{PublishProperties: expiring}, packet.V5, packet.V5, 0, false, false},
		{"alias", packet.Publish{PublishProperties: aliased}, packet.V5, packet.V5, 0, false, false},
		{"DUP", packet.Publish{QoS: 1, PacketID: 5, Dup: true}, packet.V311, packet.V311, 1, false, false},
		{"retain to no retain", packet.Publish{Retain: true}, packet.V311, packet.V311, 0, false, false},
		{"retain as published", packet.Publish{Retain: true}, packet.V5, packet.V5, 0, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.Topic, tc.in.Payload = []byte("a/b"), []byte("x")
			p, raw := publication(t, &tc.in, tc.from)
			f := p.Frame(tc.to, tc.qos, tc.retain)
			if same := &f[0] == &raw[0]; same != tc.same {
				t.Errorf("the same bytes: %t", same)
			}
			if tc.qos > 0 {
				f = p.FrameID(tc.to, tc.qos, tc.retain, 0xABCD)
			}
			got := decode(t, f, tc.to)
			if string(got.Topic) != "a/b" || string(got.Payload) != "x" || got.QoS != tc.qos || got.Retain != tc.retain || got.Dup {
				t.Errorf("%+v", got)
			}
			if tc.qos > 0 && got.PacketID != 0xABCD {
				t.Errorf("identifier %x", got.PacketID)
			}
			if tc.to == packet.V5 && tc.from == packet.V5 && !bytes.Equal(got.Forward, p.Props) {
				t.Errorf("properties %x", got.Forward)
			}
		})
	}
}

// TestFrames: every kind is encoded once, and all stay valid beside each other.
func TestFrames(t *testing.T) {
	p, _ := publication(t, &packet.Publish{Topic: []byte("a"), Payload: bytes.Repeat([]byte("x"), 300), Retain: true}, packet.V311)
	kinds := []Copy{}
	var frames [][]byte
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		for _, retain := range []bool{false, true} {
			for _, qos := range []byte{0, 1} {
				kinds = append(kinds, Copy{Version: v, QoS: qos, Retain: retain})
				frames = append(frames, p.Frame(v, qos, retain))
			}
		}
	}
	for i, k := range kinds {
		f := p.Frame(k.Version, k.QoS, k.Retain)
		if &f[0] != &frames[i][0] {
			t.Errorf("%+v was encoded twice", k)
		}
		if k.QoS > 0 {
			f = p.FrameID(k.Version, k.QoS, k.Retain, 1)
		}
		want := p.Append(nil, &Copy{Version: k.Version, QoS: k.QoS, Retain: k.Retain, PacketID: 1})
		if !bytes.Equal(f, want) {
			t.Errorf("%+v: %x", k, f)
		}
	}
	two := p.FrameID(packet.V311, 2, false, 9)
	if got := decode(t, two, packet.V311); got.QoS != 2 || got.PacketID != 9 {
		t.Errorf("%+v", got)
	}
	if got := decode(t, p.FrameID(packet.V311, 1, false, 10), packet.V311); got.QoS != 1 || got.PacketID != 10 {
		t.Errorf("%+v", got)
	}
}

// TestKeep: the kept message is one, and owns its bytes.
func TestKeep(t *testing.T) {
	in := packet.Publish{Topic: []byte("a/b"), Payload: []byte("payload"), QoS: 1, PacketID: 1, Retain: true}
	in.User = []packet.UserPair{{Key: []byte("k"), Value: []byte("v")}}
	in.MessageExpiry = packet.Some[uint32](2)
	p, raw := publication(t, &in, packet.V5)
	m := p.Keep()
	if p.Keep() != m || p.Size() != m.Size() {
		t.Error("kept twice, or of another size")
	}
	props := bytes.Clone(p.Props)
	for i := range raw {
		raw[i] = 0xFF
	}
	if m.Topic != "a/b" || string(m.Payload) != "payload" || !bytes.Equal(m.Props, props) || m.Expires != 3000 || m.QoS != 1 || !m.Retain {
		t.Errorf("%+v", m)
	}
	if _ = append(m.Payload, 'x'); !bytes.Equal(m.Props, props) {
		t.Error("payload and properties overlap")
	}
	p.SetKept(m, 1000)
	if p.Keep() != m {
		t.Error("a kept message is copied")
	}
	if got := decode(t, p.Frame(packet.V5, 0, true), packet.V5); string(got.Topic) != "a/b" || got.MessageExpiry.Value != 2 {
		t.Errorf("%+v", got)
	}
}

// TestMemory: one large message does not leave its size behind.
func TestMemory(t *testing.T) {
	p, _ := publication(t, &packet.Publish{Topic: []byte("a"), Payload: make([]byte, 2*keepBuffer)}, packet.V311)
	p.Frame(packet.V5, 0, false)
	small := (&packet.Publish{Topic: []byte("a")}).Append(nil, packet.V311)
	p.Set(decode(t, small, packet.V311), small, packet.V311, 0)
	if cap(p.buf) > keepBuffer {
		t.Errorf("%d bytes are kept", cap(p.buf))
	}
}

func TestAllocs(t *testing.T) {
	in := packet.Publish{Topic: []byte("a/b"), Payload: []byte("x")}
	raw := in.Append(nil, packet.V311)
	h, _, _ := packet.ReadHeader(raw)
	var p Publication
	if n := testing.AllocsPerRun(1000, func() {
		if err := in.Decode(h.Flags, raw[h.Size:], packet.V311); err != nil {
			t.Fatal(err)
		}
		p.Set(&in, raw, packet.V311, 0)
		p.Frame(packet.V311, 0, false)
		p.Frame(packet.V5, 0, false)
	}); n != 0 {
		t.Errorf("%v allocations for a message that passes through", n)
	}
}

func BenchmarkPassThrough(b *testing.B) {
	in := &packet.Publish{Topic: []byte("a/b"), Payload: make([]byte, 64)}
	raw := in.Append(nil, packet.V311)
	var p Publication
	b.ReportAllocs()
	for b.Loop() {
		p.Set(in, raw, packet.V311, 0)
		for range 10 {
			p.Frame(packet.V311, 0, false)
		}
	}
}

func BenchmarkKeep(b *testing.B) {
	in := &packet.Publish{Topic: []byte("a/b"), Payload: make([]byte, 64)}
	var p Publication
	b.ReportAllocs()
	for b.Loop() {
		p.Set(in, nil, packet.V311, 0)
		p.Keep()
	}
}

func BenchmarkAppend(b *testing.B) {
	m := &Message{Topic: "a/b", Payload: make([]byte, 64), Expires: 5000}
	c := &Copy{Version: packet.V5, QoS: 1, IDs: []uint32{7}, PacketID: 1}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0], c, 0)
	}
}
