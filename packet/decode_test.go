package packet_test

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// Some packets have more than one form. All are read; one is written.
func TestDecodeOtherForms(t *testing.T) {
	const connect5 = "\x00\x04MQTT\x05\x02\x00\x00"
	for _, c := range []struct {
		name            string
		v               packet.Version
		first           byte
		body, canonical string
	}{
		{"PUBACK with Success", packet.V5, 0x40, "\x00\x01\x00", "\x40\x02\x00\x01"},
		{"PUBACK with Success and no properties", packet.V5, 0x40, "\x00\x01\x00\x00", "\x40\x02\x00\x01"},
		{"PUBREC with a code and no properties", packet.V5, 0x50, "\x00\x01\x97\x00", "\x50\x03\x00\x01\x97"},
		{"DISCONNECT with Success", packet.V5, 0xe0, "\x00", "\xe0\x00"},
		{"DISCONNECT with Success and no properties", packet.V5, 0xe0, "\x00\x00", "\xe0\x00"},
		{"DISCONNECT with a code and no properties", packet.V5, 0xe0, "\x8e\x00", "\xe0\x01\x8e"},
		{"AUTH with Success and no properties", packet.V5, 0xf0, "\x00\x00", "\xf0\x00"},
		{"PUBREL of 3.1 again", packet.V31, 0x6a, "\x00\x01", "\x62\x02\x00\x01"},
		{"SUBSCRIBE of 3.1 again", packet.V31, 0x8a, "\x00\x01\x00\x01a\x00", "\x82\x06\x00\x01\x00\x01a\x00"},
		{"UNSUBSCRIBE of 3.1 again", packet.V31, 0xaa, "\x00\x01\x00\x01a", "\xa2\x05\x00\x01\x00\x01a"},
		{"CONNACK of 3.1 with its unused byte", packet.V31, 0x20, "\x01\x00", "\x20\x02\x00\x00"},
		{"CONNECT of 3.1 without the announced user", packet.V31, 0x10, "\x00\x06MQIsdp\x03\xc2\x00\x00\x00\x01c",
			"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01c"},
		{"CONNECT with properties in another order", packet.V5, 0x10, connect5 + "\x08\x21\x00\x01\x11\x00\x00\x00\x01\x00\x00",
			"\x10\x15" + connect5 + "\x08\x11\x00\x00\x00\x01\x21\x00\x01\x00\x00"},
		{"PUBLISH with an alias between its properties", packet.V5, 0x30, "\x00\x01a\x09\x01\x01\x23\x00\x01\x03\x00\x01tx",
			"\x30\x0e\x00\x01a\x09\x23\x00\x01\x01\x01\x03\x00\x01tx"},
	} {
		h := packet.Header{Type: packet.Type(c.first >> 4), Flags: c.first & 15}
		p, err := packet.Decode(h, []byte(c.body), c.v)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := string(p.Append(nil, c.v)); got != c.canonical {
			t.Errorf("%s:\n got % x\nwant % x", c.name, got, c.canonical)
		}
	}
}

// What older versions cannot say is left out or translated.
func TestAppendForOlderVersions(t *testing.T) {
	user := []packet.UserProperty{{Key: "k", Value: "v"}}
	for _, c := range []struct {
		name string
		p    packet.Packet
		v    packet.Version
		want string
	}{
		{"CONNACK with a session in a refusal", &packet.Connack{SessionPresent: true, Code: packet.NotAuthorized}, packet.V5,
			"\x20\x03\x00\x87\x00"}, // [MQTT-3.2.2-6]
		{"CONNACK of 3.1 with a session", &packet.Connack{SessionPresent: true}, packet.V31, "\x20\x02\x00\x00"},
		{"CONNACK of 3.1.1 with properties", &packet.Connack{User: user}, packet.V311, "\x20\x02\x00\x00"},
		{"CONNACK of 3.1.1 with a code of 5.0", &packet.Connack{Code: packet.QoSNotSupported}, packet.V311, "\x20\x02\x00\x03"},
		{"PUBACK of 3.1.1 with a code", &packet.Puback{PacketID: 1, Code: packet.NotAuthorized, User: user}, packet.V311,
			"\x40\x02\x00\x01"},
		{"SUBSCRIBE of 3.1.1 with options", &packet.Subscribe{PacketID: 1, SubscriptionID: packet.Some[uint32](1),
			Filters: []packet.SubscribeFilter{{Filter: "a", Options: packet.Options{QoS: 1, NoLocal: true, RetainHandling: 2}}}},
			packet.V311, "\x82\x06\x00\x01\x00\x01a\x01"},
		{"SUBACK of 3.1.1 with a code of 5.0", &packet.Suback{PacketID: 1, Codes: []packet.Code{packet.NotAuthorized}},
			packet.V311, "\x90\x03\x00\x01\x80"},
		{"UNSUBACK of 3.1.1 with codes", &packet.Unsuback{PacketID: 1, Codes: []packet.Code{packet.Success}}, packet.V311,
			"\xb0\x02\x00\x01"},
		{"DISCONNECT of 3.1.1 with a code", &packet.Disconnect{Code: packet.ServerBusy}, packet.V311, "\xe0\x00"},
		{"CONNECT of 5.0 with the bridge bit", &packet.Connect{Version: packet.V5, Bridge: true}, packet.V5,
			"\x10\x0d\x00\x04MQTT\x05\x00\x00\x00\x00\x00\x00"},
	} {
		if got := string(c.p.Append(nil, c.v)); got != c.want {
			t.Errorf("%s:\n got % x\nwant % x", c.name, got, c.want)
		}
	}
}

func TestOptOr(t *testing.T) {
	if got := (packet.Opt[uint16]{}).Or(65535); got != 65535 {
		t.Errorf("absent: %d", got)
	}
	if got := packet.Some[uint16](0).Or(65535); got != 0 {
		t.Errorf("present: %d", got)
	}
}
