package packet_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// Lengths are filled in afterwards, so they are tried at every number of bytes they can take.
func TestAppendLongPackets(t *testing.T) {
	for _, n := range []int{0, 100, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 16370, 16383, 16384, 65535} {
		s := strings.Repeat("x", n)
		user := []packet.UserProperty{{Key: s, Value: s}}
		for range n / 2000 { // up to a length of four bytes
			user = append(user, packet.UserProperty{Key: s, Value: s})
		}
		for _, p := range []packet.Packet{
			&packet.Connect{Version: packet.V5, ClientID: s, User: user,
				Will: &packet.Will{Topic: "w" + s[:min(n, 65534)], Payload: []byte(s), User: user}},
			&packet.Connack{User: user},
			&packet.Puback{PacketID: 1, ReasonString: packet.Some(s)},
			&packet.Subscribe{PacketID: 1, User: user, Filters: []packet.SubscribeFilter{{Filter: "f" + s[:min(n, 65534)]}}},
			&packet.Disconnect{ReasonString: packet.Some(s), User: user},
			&packet.Auth{AuthMethod: packet.Some(s), User: user},
		} {
			h, body := split(t, p.Append(nil, packet.V5))
			got, err := packet.Decode(h, body, packet.V5)
			if err != nil {
				t.Fatalf("%v with strings of %d bytes: %v", p.Type(), n, err)
			}
			if !reflect.DeepEqual(got, p) {
				t.Errorf("%v with strings of %d bytes came back changed", p.Type(), n)
			}
		}
	}
}

func TestAppendTooLong(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("AppendString wrote a length that does not fit")
		}
	}()
	packet.AppendString(nil, strings.Repeat("x", packet.MaxString+1))
}

func TestAppendString(t *testing.T) {
	if got := string(packet.AppendString([]byte("a"), "ü")); got != "a\x00\x02ü" {
		t.Errorf("AppendString = %q", got)
	}
	if got := string(packet.AppendBinary([]byte("a"), []byte{0})); got != "a\x00\x01\x00" {
		t.Errorf("AppendBinary = %q", got)
	}
}
