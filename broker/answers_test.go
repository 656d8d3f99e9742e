package broker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// TestAnswersAreBare: where Request Problem Information is 0, SUBACK, UNSUBACK and AUTH have codes and what has to be
// there, and no Reason String or User Property. [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1]
// [MQTT-3.11.2-2] [MQTT-3.15.2-2] [MQTT-3.15.2-3] [MQTT-3.1.2-29]
func TestAnswersAreBare(t *testing.T) {
	b, stop := run(t, Config{Methods: []Method{twoSteps{}}})
	defer stop()
	c := pipe(t, b)
	exchange(t, c, &packet.Connect{Version: packet.V5, CleanStart: true, ClientID: "c", RequestProblemInfo: packet.Some[byte](0),
		AuthMethod: packet.Some("m")}, "\xf0\x0a\x18\x08\x15\x00\x01m\x16\x00\x01?")
	exchange(t, c, &packet.Auth{Code: packet.ContinueAuthentication, AuthMethod: packet.Some("m")}, "")
	if ack := read(t, c).(*packet.Connack); ack.Code != packet.Success || len(ack.User) > 0 {
		t.Fatalf("%+v", ack)
	}
	filters := []packet.SubscribeFilter{{Filter: "a#"}, {Filter: "a", Options: packet.Options{QoS: 1}}}
	exchange(t, c, &packet.Subscribe{PacketID: 258, Filters: filters}, "\x90\x05\x01\x02\x00\x8f\x01")
	exchange(t, c, &packet.Unsubscribe{PacketID: 3, Filters: []string{"none", "a", "a#"}}, "\xb0\x06\x00\x03\x00\x11\x00\x8f")
}

// TestAnswersExplain: a SUBACK, UNSUBACK, PUBACK or PUBREC that refuses says why, unless the client does not want to
// know, or that makes it larger than the client takes. [MQTT-3.1.2-29] [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.9.2-1]
// [MQTT-3.11.2-1]
func TestAnswersExplain(t *testing.T) {
	b, stop := run(t, Config{MaxPayload: 10})
	defer stop()
	for _, tc := range []struct {
		problems packet.Opt[byte]
		most     uint32
		says     bool
	}{{packet.Opt[byte]{}, 1000, true}, {packet.Some[byte](1), 1000, true}, {packet.Some[byte](0), 1000, false}, {packet.Opt[byte]{}, 20, false}} {
		c := pipe(t, b)
		k := &packet.Connect{Version: packet.V5, CleanStart: true, ClientID: "c", RequestProblemInfo: tc.problems, MaximumPacketSize: packet.Some(tc.most)}
		exchange(t, c, k, "")
		read(t, c)
		ask := func(p packet.Packet) packet.Packet { exchange(t, c, p, ""); return read(t, c) }
		check := func(kind string, codes []packet.Code, want packet.Code, reason packet.Opt[string], part string) {
			t.Helper()
			if codes[len(codes)-1] != want || reason.Set != tc.says || tc.says && !strings.Contains(reason.Value, part) {
				t.Errorf("%+v: %s %v %+v", tc, kind, codes, reason)
			}
		}
		sub := ask(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "a"}, {Filter: "b#"}}}).(*packet.Suback)
		check("SUBACK", sub.Codes, packet.TopicFilterInvalid, sub.ReasonString, "filter 2: ")
		un := ask(&packet.Unsubscribe{PacketID: 2, Filters: []string{"a", "none", "b#"}}).(*packet.Unsuback)
		check("UNSUBACK", un.Codes, packet.TopicFilterInvalid, un.ReasonString, "filter 3: ")
		one := ask(&packet.Publish{Topic: []byte("$SYS/x"), QoS: 1, PacketID: 3}).(*packet.Puback)
		check("PUBACK", []packet.Code{one.Code}, packet.NotAuthorized, one.ReasonString, "not allowed")
		two := ask(&packet.Publish{Topic: []byte("x"), Payload: make([]byte, 11), QoS: 2, PacketID: 4}).(*packet.Pubrec)
		check("PUBREC", []packet.Code{two.Code}, packet.QuotaExceeded, two.ReasonString, "10 bytes")
		good := ask(&packet.Publish{Topic: []byte("x"), QoS: 1, PacketID: 5}).(*packet.Puback)
		if good.Code != packet.NoMatchingSubscribers || good.ReasonString.Set {
			t.Errorf("what is taken is answered with %+v", good)
		}
	}
}

// TestGoodbyeFits: the DISCONNECT for a broken rule says which, unless that makes it larger than the client takes. It has
// no Session Expiry Interval and no User Properties. [MQTT-3.14.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4]
func TestGoodbyeFits(t *testing.T) {
	b, stop := run(t, Config{})
	defer stop()
	for most, says := range map[uint32]bool{40: false, 1000: true} {
		c := pipe(t, b)
		k := &packet.Connect{Version: packet.V5, CleanStart: true, ClientID: "c", SessionExpiry: packet.Some[uint32](5),
			MaximumPacketSize: packet.Some(most)}
		exchange(t, c, k, "")
		read(t, c)
		exchange(t, c, &packet.Publish{Topic: []byte("a/#")}, "")
		rest, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		p := decode(t, rest).(*packet.Disconnect)
		if len(rest) > int(most) || p.Code != packet.TopicNameInvalid || p.ReasonString.Set != says || p.SessionExpiry.Set || len(p.User) > 0 {
			t.Errorf("maximum %d: got %d bytes: %+v", most, len(rest), p)
		}
	}
}

// TestStoreFails: a message that cannot be stored is not acknowledged. 3.1.1 has no way to say so: that connection ends,
// and nobody else's [3.1.1: MQTT-4.8.0-2]. 5.0 is told.
func TestStoreFails(t *testing.T) {
	b, stop := run(t, Config{})
	defer stop()
	old, c := pipe(t, b), pipe(t, b)
	exchange(t, old, &packet.Connect{Version: packet.V311, CleanStart: true, ClientID: "old"}, "\x20\x02\x00\x00")
	exchange(t, c, &packet.Connect{Version: packet.V5, CleanStart: true, ClientID: "new", RequestProblemInfo: packet.Some[byte](0)}, "")
	read(t, c)
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	m := packet.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1, Retain: true, Payload: []byte("x")}
	if _, err := old.Write(m.Append(nil, packet.V311)); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(old); err != nil || len(rest) > 0 {
		t.Errorf("got %x, %v", rest, err)
	}
	exchange(t, c, &m, "\x40\x03\x00\x01\x83") // not 0x97: it will not heal
	exchange(t, c, &packet.Pingreq{}, "\xd0\x00")
}

// twoSteps is a method that asks once.
type twoSteps struct{}

func (twoSteps) Name() string            { return "m" }
func (twoSteps) Start(*Attempt) Exchange { return new(asking) }

type asking struct{ asked bool }

func (a *asking) Step(context.Context, []byte) (reply []byte, done bool, user string, err error) {
	if a.asked {
		return nil, true, "", nil
	}
	a.asked = true
	return []byte("?"), false, "", nil
}

func pipe(t *testing.T, b *Broker) net.Conn {
	t.Helper()
	c, err := b.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { c.Close() })
	return c
}

// exchange sends a packet and expects exactly these bytes next.
func exchange(t *testing.T, c net.Conn, p packet.Packet, want string) {
	t.Helper()
	if _, err := c.Write(p.Append(nil, packet.V5)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, []byte(want)) {
		t.Fatalf("%v: got %x, want %x (%v)", p.Type(), got, want, err)
	}
}

// read gives the next packet of 5.0.
func read(t *testing.T, c net.Conn) packet.Packet {
	t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil || head[1] > 127 {
		t.Fatalf("%x: %v", head, err)
	}
	body := make([]byte, head[1])
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return decode(t, append(head, body...))
}

func decode(t *testing.T, b []byte) packet.Packet {
	t.Helper()
	h, ok, err := packet.ReadHeader(b)
	if err != nil || !ok {
		t.Fatalf("%x: %v", b, err)
	}
	p, err := packet.Decode(h, b[h.Size:], packet.V5)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	return p
}
