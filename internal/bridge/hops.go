package bridge

import (
	"slices"

	"github.com/nightjarmq/nightjar/packet"
)

// viaKey is the user property that names a broker, or the far side of a bridge, which a message has left by a bridge.
const viaKey = "nightjar-via"

// passed counts the bridges that a message has crossed, and reports whether it has left the broker id already.
func passed(p *packet.Publish, id string) (hops int, been bool) {
	for _, u := range p.User {
		if string(u.Key) == viaKey {
			hops++
			been = been || id != "" && string(u.Value) == id
		}
	}
	return hops, been
}

// via adds a bridge to a message. Its other properties stay as they are, in their order [MQTT-3.3.2-18].
func via(p *packet.Publish, id string) {
	forward := slices.Clip(p.Forward)
	forward = append(forward, byte(packet.PropUser))
	forward = packet.AppendString(forward, viaKey)
	p.Forward = packet.AppendString(forward, id)
}

// viaSize is how much via makes a packet longer, at most.
func viaSize(id string) int { return 1 + 2 + len(viaKey) + 2 + len(id) + 3 }
