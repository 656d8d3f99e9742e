package broker

import (
	"io"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// TestRefusalFits: the CONNACK that refuses a client says why, unless that makes
// it larger than what the client takes, and does not come if the code alone is. It has
// no User Properties. [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.1.2-24]
func TestRefusalFits(t *testing.T) {
	b, stop := run(t, Config{RefuseEmptyClientID: true})
	defer stop()
	for _, tc := range []struct {
		most packet.Opt[uint32]
		says bool
	}{
		{packet.Opt[uint32]{}, true},
		{packet.Some[uint32](100), true},
		{packet.Some[uint32](45), false},
		{packet.Some[uint32](5), false},
		{packet.Some[uint32](4), false}, // it has five bytes
	} {
		c, err := b.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		k := packet.Connect{Version: packet.V5, CleanStart: true, MaximumPacketSize: tc.most}
		if _, err := c.Write(k.Append(nil, packet.V5)); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		if tc.most.Set && tc.most.Value < 5 {
			if len(got) > 0 {
				t.Errorf("maximum %d: got %x", tc.most.Value, got)
			}
			continue
		}
		h, _, err := packet.ReadHeader(got)
		if err != nil {
			t.Fatal(err)
		}
		p, err := packet.Decode(h, got[h.Size:], packet.V5)
		if err != nil {
			t.Fatal(err)
		}
		ack := p.(*packet.Connack)
		if ack.Code != packet.ClientIdentifierNotValid || ack.ReasonString.Set != tc.says || len(ack.User) > 0 {
			t.Errorf("maximum %d: got %d bytes, %v, with a reason string: %v", tc.most.Value, len(got), ack.Code, ack.ReasonString.Set)
		}
	}
}
