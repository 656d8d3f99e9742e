package abuse

import (
	"fmt"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// TestManyLookups: one SUBSCRIBE, or many at once, have filters that match next to nothing among very many retained
// messages. While they are looked up others are served.
func TestManyLookups(t *testing.T) {
	const retained, filters = 10_000, 1000
	b, addr := start(t, broker.Config{Loops: 1})
	for i := range retained {
		m := broker.Message{Topic: fmt.Sprint("r/", i), Payload: []byte("x"), Retain: true, QoS: 1}
		if err := b.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name   string
		expiry uint32
		qos    byte
		at     int // filters a SUBSCRIBE
	}{
		{"one SUBSCRIBE", 0, 0, filters},
		{"one SUBSCRIBE of a durable session", 100, 1, filters},
		{"many SUBSCRIBEs", 0, 1, 1},
		{"many SUBSCRIBEs of a durable session", 100, 1, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			other := join(t, addr, packet.V5, "other")
			p := joinAs(t, addr, &packet.Connect{Version: packet.V5, ClientID: "p", CleanStart: true, SessionExpiry: packet.Some(tc.expiry)})
			var list []packet.Packet
			for i := 0; i < filters; i += tc.at {
				k := &packet.Subscribe{PacketID: 1}
				for j := range tc.at {
					k.Filters = append(k.Filters, packet.SubscribeFilter{Filter: fmt.Sprint("+/+/", i+j), Options: packet.Options{QoS: tc.qos}})
				}
				list = append(list, k)
			}
			last := &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "r/7", Options: packet.Options{QoS: tc.qos}}}}
			p.send(append(list, last)...)
			found := make(chan error, 1)
			go func() {
				for {
					if k, err := p.read(); err != nil || k.Type() == packet.TypePublish {
						found <- err
						return
					}
				}
			}()
			for answered := 0; ; answered++ {
				other.alive()
				select {
				case err := <-found:
					if err != nil {
						t.Fatal("wait for the retained message: ", err)
					}
					if answered < 10 {
						t.Errorf("%d answers to others while it is looked for", answered)
					}
					return
				default:
				}
			}
		})
	}
}
