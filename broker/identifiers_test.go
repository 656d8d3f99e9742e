package broker

import (
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// TestManyIdentifiersOfAShortMessage: the Subscription Identifiers of a copy count for the client's Maximum Packet Size,
// also where they are longer than all else. [MQTT-3.1.2-24] [MQTT-3.3.4-3]
func TestManyIdentifiersOfAShortMessage(t *testing.T) {
	b, stop := run(t, Config{})
	defer stop()
	c := pipe(t, b)
	hello := packet.Connect{Version: packet.V5, CleanStart: true, ClientID: "c"}
	hello.MaximumPacketSize = packet.Some[uint32](160)
	exchange(t, c, &hello, "")
	read(t, c)
	for i := range 32 { // all filters of "+" and "a" match a/a/a/a/a
		levels := make([]string, 5)
		for bit := range levels {
			levels[bit] = [2]string{"+", "a"}[i>>bit&1]
		}
		p := packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: strings.Join(levels, "/"), Options: packet.Options{QoS: 1}}}}
		p.SubscriptionID = packet.Some(uint32(1<<21 + i))
		exchange(t, c, &p, "\x90\x04\x00\x01\x00\x01")
	}
	exchange(t, c, &packet.Publish{Topic: []byte("a/a/a/a/a"), QoS: 1, PacketID: 1}, "\x40\x02\x00\x01")
	exchange(t, c, &packet.Pingreq{}, "\xd0\x00")
}
