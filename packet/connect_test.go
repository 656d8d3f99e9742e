package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestConnect(t *testing.T) { testPacket(t, packet.TypeConnect) }

// After an error the caller still knows in which version to answer.
func TestConnectVersionAfterError(t *testing.T) {
	for _, c := range []struct {
		body string
		want packet.Version
	}{
		{"\x00\x04HTTP\x04\x02\x00\x00\x00\x00", 0},
		{"\x00\x04MQTT", 0},
		{"\x00\x04MQTT\x06\x02\x00\x00\x00\x00", 6}, // [MQTT-3.1.2-2]
		{"\x00\x06MQIsdp\x04\x02\x00\x00\x00\x00", 4},
		{"\x00\x04MQTT\x04\x03\x00\x00\x00\x00", packet.V311},
		{"\x00\x04MQTT\x84\x03\x00\x00\x00\x00", packet.V311},
		{"\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x00", packet.V5},
	} {
		var p packet.Connect
		if err := p.Decode(0, []byte(c.body), 0); err == nil {
			t.Errorf("%q was accepted", c.body)
		}
		if p.Version != c.want {
			t.Errorf("%q: version %v, want %v", c.body, p.Version, c.want)
		}
	}
}
