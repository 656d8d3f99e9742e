package abuse

import (
	"fmt"
	"io"
	"net"
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
