package broker

import (
	"io"
	"net"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// TestMemberConnectsAsItIsPassedOver: a member of a group is away when those are asked who are there, and is there when those
// are asked who are away. It gets a message that nobody else takes, whoever is asked first. [MQTT-4.8.2-4]
func TestMemberConnectsAsItIsPassedOver(t *testing.T) {
	for before := range 2 { // messages before, which decide who is asked first
		g := gate{make(chan struct{}, 10), make(chan struct{})}
		b, stop := run(t, Config{Access: g, MaxQueuedMessages: 1})
		t.Cleanup(stop) // behind the end of the connections
		away := join(t, b, "away")
		exchange(t, away, &packet.Disconnect{}, "")
		if _, err := away.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(err)
		}
		member, pub := join(t, b, "gate"), comeBack(t, b, "pub", false)
		asked := func() {
			<-g.reached
			g.open <- struct{}{}
		}
		for range before {
			publish(t, pub, "before")
			asked()
			acked(t, pub)
			k := read(t, member).(*packet.Publish)
			exchange(t, member, &packet.Puback{PacketID: k.PacketID}, "")
			exchange(t, member, &packet.Pingreq{}, "\xd0\x00")
		}
		for _, payload := range []string{"for the window", "for the queue"} {
			publish(t, pub, payload)
			asked()
			acked(t, pub)
		}
		publish(t, pub, "x") // there is no room for it: asked as the one with the shortest queue, and as one who is there
		asked()
		<-g.reached
		away = comeBack(t, b, "away", true)
		close(g.open)
		acked(t, pub)
		if k := read(t, away).(*packet.Publish); string(k.Payload) != "x" {
			t.Errorf("away gets %q", k.Payload)
		}
	}
}

// join makes a member of a group.
func join(t *testing.T, b *Broker, id string) net.Conn {
	t.Helper()
	c := comeBack(t, b, id, false)
	p := &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "$share/g/a", Options: packet.Options{QoS: 1}}}}
	exchange(t, c, p, "\x90\x04\x00\x01\x00\x01")
	return c
}

// comeBack connects a client, whose session is there or not.
func comeBack(t *testing.T, b *Broker, id string, present bool) net.Conn {
	t.Helper()
	c := pipe(t, b)
	p := &packet.Connect{Version: packet.V5, ClientID: id, SessionExpiry: packet.Some[uint32](60), ReceiveMaximum: packet.Some[uint16](1)}
	exchange(t, c, p, "")
	if k, ok := read(t, c).(*packet.Connack); !ok || k.Code != packet.Success || k.SessionPresent != present {
		t.Fatalf("%s gets %+v", id, k)
	}
	return c
}

func publish(t *testing.T, c net.Conn, payload string) {
	t.Helper()
	exchange(t, c, &packet.Publish{Topic: []byte("a"), Payload: []byte(payload), QoS: 1, PacketID: 1}, "")
}

func acked(t *testing.T, c net.Conn) {
	t.Helper()
	if k, ok := read(t, c).(*packet.Puback); !ok || k.Code != packet.Success {
		t.Fatalf("the publisher gets %+v", k)
	}
}
