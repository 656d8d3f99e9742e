package abuse

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// TestQuotas: what is bounded by configuration is refused beyond, with 0x97, or by
// closing where there is no code, and whoever was there before is not disturbed.
func TestQuotas(t *testing.T) {
	_, addr := start(t, broker.Config{
		MaxSessions: 3, MaxRetained: 2, MaxSubscriptions: 2, MaxPayload: 100, ReceiveMaximum: 2, MaxTopicAlias: 1,
	})
	p := join(t, addr, packet.V5, "p")
	join(t, addr, packet.V311, "second")
	third := joinAs(t, addr, &packet.Connect{Version: packet.V5, ClientID: "third", SessionExpiry: packet.Some[uint32](1000)})
	third.send(&packet.Disconnect{})
	third.closed() // absent, and counts
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		many := dial(t, addr, v)
		many.send(&packet.Connect{Version: v, ClientID: "fourth", CleanStart: true})
		want := packet.QuotaExceeded
		if v < packet.V5 {
			want = packet.ServerUnavailable
		}
		if ack := many.want(packet.TypeConnack).(*packet.Connack); ack.Code != want {
			t.Errorf("%v: one session too many: %v", v, ack.Code)
		}
		many.closed()
	}
	joinAs(t, addr, &packet.Connect{Version: packet.V5, ClientID: "third", SessionExpiry: packet.Some[uint32](1000)})
	for i, want := range []packet.Code{0, 0, packet.QuotaExceeded} {
		if got := p.subscribe(0, fmt.Sprint(i)); got[0] != want {
			t.Errorf("subscription %d: %v", i, got)
		}
	}
	for i, want := range []packet.Code{packet.NoMatchingSubscribers, packet.NoMatchingSubscribers, packet.QuotaExceeded} {
		if got := p.publish(fmt.Sprint("kept/", i), "x", true); got != want {
			t.Errorf("retained message %d: %v", i, got)
		}
	}
	if got := p.publish("a", string(make([]byte, 101)), false); got != packet.QuotaExceeded {
		t.Errorf("a long message: %v", got)
	}
	for i := range 3 {
		p.send(&packet.Publish{Topic: []byte("a"), QoS: 2, PacketID: uint16(i + 1)})
	}
	p.want(packet.TypePubrec)
	p.want(packet.TypePubrec)
	p.ended(packet.ReceiveMaximumExceeded)
}

// TestConnectionFlood: connections beyond the bound are closed at once, before any
// memory is spent on them; those inside go on, and a place that gets free is free.
func TestConnectionFlood(t *testing.T) {
	const most = 20
	_, addr := start(t, broker.Config{MaxConnections: most})
	inside := make([]*peer, most)
	for i := range inside {
		inside[i] = join(t, addr, packet.V311, fmt.Sprint("c", i))
	}
	for range 200 {
		if rest, err := readAll(dial(t, addr, packet.V311)); err != nil || len(rest) > 0 {
			t.Fatalf("%x, %v", rest, err)
		}
	}
	for _, p := range inside {
		p.alive()
	}
	inside[0].conn.Close()
	for deadline := time.Now().Add(long); ; { // until the broker has seen the end
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(deadline)
		c.Write((&packet.Connect{Version: packet.V311, ClientID: "new", CleanStart: true}).Append(nil, packet.V311))
		_, err = io.ReadFull(c, make([]byte, 4))
		c.Close()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestUserQuota: one user has so many sessions, connected or not, and others theirs.
func TestUserQuota(t *testing.T) {
	_, addr := start(t, broker.Config{Auth: door{}, MaxUserSessions: 2})
	hello := func(user, id string, expiry uint32) *packet.Connect {
		return as(user, "secret", &packet.Connect{Version: packet.V5, ClientID: id, SessionExpiry: packet.Some(expiry)})
	}
	joinAs(t, addr, hello("alice", "a1", 0))
	away := joinAs(t, addr, hello("alice", "a2", 1000))
	away.send(&packet.Disconnect{})
	away.closed()
	many := dial(t, addr, packet.V5)
	many.send(hello("alice", "a3", 0))
	if ack := many.want(packet.TypeConnack).(*packet.Connack); ack.Code != packet.QuotaExceeded {
		t.Errorf("the third session: %v", ack.Code)
	}
	joinAs(t, addr, hello("bob", "b1", 0)).alive()
	back := joinAs(t, addr, hello("alice", "a2", 0)) // one of the two
	back.send(&packet.Disconnect{})
	back.closed()
	for deadline := time.Now().Add(long); ; { // until the broker has ended the session
		p := dial(t, addr, packet.V5)
		p.send(hello("alice", "a3", 0))
		if p.want(packet.TypeConnack).(*packet.Connack).Code == packet.Success {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a session that has ended is not free")
		}
	}
}

// TestRetainedBytes: the memory of retained messages is bounded, whatever their
// topics and properties; smaller ones may replace larger ones, and the broker's own
// do not count.
func TestRetainedBytes(t *testing.T) {
	_, addr := start(t, broker.Config{MaxRetained: 3, MaxRetainedBytes: 5000, SysInterval: time.Hour})
	p := join(t, addr, packet.V5, "p")
	for _, tc := range []struct {
		topic string
		bytes int
		want  packet.Code
	}{
		{"a", 1000, packet.NoMatchingSubscribers},
		{strings.Repeat("t", 3000), 1, packet.NoMatchingSubscribers},
		{"b", 2000, packet.QuotaExceeded},
		{"a", 2000, packet.QuotaExceeded},
		{"a", 900, packet.NoMatchingSubscribers},
		{"b", 1, packet.NoMatchingSubscribers},
		{"c", 1, packet.QuotaExceeded}, // the fourth
		{strings.Repeat("t", 3000), 0, packet.NoMatchingSubscribers},
		{"c", 2000, packet.NoMatchingSubscribers},
	} {
		if got := p.publish(tc.topic, strings.Repeat("x", tc.bytes), true); got != tc.want {
			t.Errorf("%.5s with %d bytes: %v, want %v", tc.topic, tc.bytes, got, tc.want)
		}
	}
}

// TestConnectRate: an address that connects too often is told so, and only for a
// while.
func TestConnectRate(t *testing.T) {
	_, addr := start(t, broker.Config{MaxConnectRate: 1})
	inside := join(t, addr, packet.V5, "inside")
	refused := map[packet.Version]int{}
	for i := 0; refused[packet.V311] < 10 || refused[packet.V5] < 10; i++ {
		if i > 10_000 {
			t.Fatalf("of 10,000 only %v were refused", refused)
		}
		v := []packet.Version{packet.V311, packet.V5}[i%2]
		p := dial(t, addr, v)
		p.send(&packet.Connect{Version: v, ClientID: "c", CleanStart: true})
		switch ack := p.want(packet.TypeConnack).(*packet.Connack); {
		case ack.Code == packet.Success:
		case v == packet.V5 && ack.Code == packet.ConnectionRateExceeded, v < packet.V5 && ack.Code == packet.ServerUnavailable:
			refused[v]++
			p.closed()
		default:
			t.Fatalf("%v: %v", v, ack.Code)
		}
	}
	inside.alive()
	for deadline := time.Now().Add(long); ; {
		p := dial(t, addr, packet.V5)
		p.send(&packet.Connect{Version: packet.V5, ClientID: "c", CleanStart: true})
		if p.want(packet.TypeConnack).(*packet.Connack).Code == packet.Success {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the address is never let in again")
		}
	}
}

// TestLenientReceive: where it is configured, a client that has more under way than
// it may is served.
func TestLenientReceive(t *testing.T) {
	_, addr := start(t, broker.Config{ReceiveMaximum: 2, LenientReceive: true})
	p := join(t, addr, packet.V5, "p")
	for i := range 10 {
		p.send(&packet.Publish{Topic: []byte("a"), QoS: 2, PacketID: uint16(i + 1)})
		p.want(packet.TypePubrec)
	}
	p.alive()
}
