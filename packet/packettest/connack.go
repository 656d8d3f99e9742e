package packettest

import "github.com/nightjarmq/nightjar/packet"

func connackCases() []Case {
	return []Case{
		{
			Name: "CONNACK of 3.1", Version: packet.V31,
			Packet: &packet.Connack{}, Bytes: wire(0x20, "\x00\x00"),
		},
		{
			Name: "CONNACK of 3.1.1 with a session", Version: packet.V311,
			Packet: &packet.Connack{SessionPresent: true}, Bytes: wire(0x20, "\x01\x00"),
		},
		{
			Name: "CONNACK of 3.1.1, protocol version", Version: packet.V311,
			Packet: &packet.Connack{Code: packet.UnsupportedProtocolVersion}, Bytes: wire(0x20, "\x00\x01"),
		},
		{
			Name: "CONNACK of 3.1.1, identifier rejected", Version: packet.V311,
			Packet: &packet.Connack{Code: packet.ClientIdentifierNotValid}, Bytes: wire(0x20, "\x00\x02"),
		},
		{
			Name: "CONNACK of 3.1.1, server unavailable", Version: packet.V311,
			Packet: &packet.Connack{Code: packet.ServerUnavailable}, Bytes: wire(0x20, "\x00\x03"),
		},
		{
			Name: "CONNACK of 3.1.1, bad user name or password", Version: packet.V311,
			Packet: &packet.Connack{Code: packet.BadUserNameOrPassword}, Bytes: wire(0x20, "\x00\x04"),
		},
		{
			Name: "CONNACK of 3.1.1, not authorized", Version: packet.V311,
			Packet: &packet.Connack{Code: packet.NotAuthorized}, Bytes: wire(0x20, "\x00\x05"),
		},
		{
			Name: "CONNACK of 5.0", Version: packet.V5,
			Packet: &packet.Connack{SessionPresent: true}, Bytes: wire(0x20, "\x01\x00", props()),
		},
		{
			Name: "CONNACK of 5.0, banned", Version: packet.V5,
			Packet: &packet.Connack{Code: packet.Banned}, Bytes: wire(0x20, "\x00\x8a", props()),
		},
		{
			Name: "CONNACK of 5.0 with every property", Version: packet.V5,
			Packet: &packet.Connack{
				SessionExpiry: packet.Some[uint32](7200), ReceiveMaximum: packet.Some[uint16](100),
				MaximumQoS: packet.Some[byte](1), RetainAvailable: packet.Some[byte](0),
				MaximumPacketSize: packet.Some[uint32](1 << 20), AssignedClientID: packet.Some("auto-1"),
				TopicAliasMaximum: packet.Some[uint16](32), ReasonString: packet.Some("ok"),
				User: []packet.UserProperty{{Key: "k", Value: "v"}}, WildcardAvailable: packet.Some[byte](1),
				SubscriptionIDAvailable: packet.Some[byte](1), SharedAvailable: packet.Some[byte](0),
				ServerKeepAlive: packet.Some[uint16](45), ResponseInfo: packet.Some("re/"),
				ServerReference: packet.Some("other"), AuthMethod: packet.Some("M"), AuthData: []byte{9}},
			Bytes: wire(0x20, "\x00\x00", props("\x11\x00\x00\x1c\x20", "\x21\x00\x64", "\x24\x01", "\x25\x00",
				"\x27\x00\x10\x00\x00", "\x12", str("auto-1"), "\x22\x00\x20", "\x1f", str("ok"), user("k", "v"),
				"\x28\x01", "\x29\x01", "\x2a\x00", "\x13\x00\x2d", "\x1a", str("re/"), "\x1c", str("other"),
				"\x15", str("M"), "\x16", str("\x09"))),
		},
	}
}

func connackRefusals() []Refusal {
	const mal, proto = packet.MalformedPacket, packet.ProtocolError
	v4, v5 := packet.V311, packet.V5
	return []Refusal{
		{"CONNACK with a fixed-header flag", v4, wire(0x22, "\x00\x00"), mal, "MQTT-2.1.3-1"},
		{"CONNACK with a reserved flag", v4, wire(0x20, "\x02\x00"), mal, "MQTT-3.2.2-1"},
		{"CONNACK of 3.1.1 with return code 6", v4, wire(0x20, "\x00\x06"), proto, "MQTT-3.2.2-8"},
		{"CONNACK of 3.1.1 with bytes behind it", v4, wire(0x20, "\x00\x00\x00"), mal, "2.1.4"},
		{"CONNACK of 5.0 with a code of another packet", v5, wire(0x20, "\x00\x8e", props()), proto, "MQTT-3.2.2-8"},
		{"CONNACK of 5.0 with the return code of 3.1.1", v5, wire(0x20, "\x00\x05", props()), proto, "MQTT-3.2.2-8"},
		{"CONNACK of 5.0 without Property Length", v5, wire(0x20, "\x00\x00"), mal, "2.1.4"},
		{"CONNACK that refuses and has a session", v5, wire(0x20, "\x01\x87", props()), proto, "MQTT-3.2.2-6"},
		{"CONNACK with Receive Maximum 0", v5, wire(0x20, "\x00\x00", props("\x21\x00\x00")), proto, "2.2.2.2"},
		{"CONNACK with Maximum Packet Size 0", v5, wire(0x20, "\x00\x00", props("\x27\x00\x00\x00\x00")), proto, "2.2.2.2"},
		{"CONNACK with Maximum QoS 2", v5, wire(0x20, "\x00\x00", props("\x24\x02")), proto, "2.2.2.2"},
		{"CONNACK with Retain Available 2", v5, wire(0x20, "\x00\x00", props("\x25\x02")), proto, "2.2.2.2"},
		{"CONNACK with Shared Subscription Available 2", v5, wire(0x20, "\x00\x00", props("\x2a\x02")), proto, "2.2.2.2"},
		{"CONNACK with a property twice", v5, wire(0x20, "\x00\x00", props("\x12", str("a"), "\x12", str("b"))), proto, "2.2.2.2"},
		{"CONNACK with a property of CONNECT", v5, wire(0x20, "\x00\x00", props("\x17\x01")), mal, "2.2.2.2"},
	}
}
