package bridge_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/internal/bridge"
	"github.com/nightjarmq/nightjar/packet"
)

// Debian's broker may be one of three in a ring if the bridges are ours: it passes on what says where a message was.
func TestRingWithMosquitto(t *testing.T) {
	a, b, m := runNode(t), runNode(t), runMosquitto(t, "")
	for _, link := range []struct {
		from node
		to   string
	}{{a, b.addr}, {a, m}, {b, m}} {
		join(t, link.from, link.to, func(c *bridge.Config) { c.Topics, c.MaxHops, c.Version = both(1), 1, packet.V5 })
		crossing(t, link.from.addr, link.to)
	}
	once(t, []node{a, b, {addr: m}})
}
