package packettest

import "github.com/nightjarmq/nightjar/packet"

func pingCases() []Case {
	return []Case{
		{Name: "PINGREQ of 3.1.1", Version: packet.V311, Packet: &packet.Pingreq{}, Bytes: wire(0xc0)},
		{Name: "PINGREQ of 5.0", Version: packet.V5, Packet: &packet.Pingreq{}, Bytes: wire(0xc0)},
		{Name: "PINGRESP of 3.1.1", Version: packet.V311, Packet: &packet.Pingresp{}, Bytes: wire(0xd0)},
		{Name: "PINGRESP of 5.0", Version: packet.V5, Packet: &packet.Pingresp{}, Bytes: wire(0xd0)},
	}
}

func pingRefusals() []Refusal {
	const mal = packet.MalformedPacket
	return []Refusal{
		{"PINGREQ with a fixed-header flag", packet.V311, wire(0xc1), mal, "MQTT-2.1.3-1"},
		{"PINGREQ with a body", packet.V311, wire(0xc0, "\x00"), mal, "2.1.4"},
		{"PINGRESP with a fixed-header flag", packet.V5, wire(0xd8), mal, "MQTT-2.1.3-1"},
		{"PINGRESP with a body", packet.V5, wire(0xd0, "\x00"), mal, "2.1.4"},
		{"packet type 0", packet.V311, wire(0x00), mal, "2.1.2"},
	}
}

func disconnectCases() []Case {
	return []Case{
		{Name: "DISCONNECT of 3.1.1", Version: packet.V311, Packet: &packet.Disconnect{}, Bytes: wire(0xe0)},
		{Name: "DISCONNECT of 5.0", Version: packet.V5, Packet: &packet.Disconnect{}, Bytes: wire(0xe0)},
		{
			Name: "DISCONNECT with a code", Version: packet.V5, Whole: []int{0},
			Packet: &packet.Disconnect{Code: packet.DisconnectWithWill}, Bytes: wire(0xe0, "\x04"),
		},
		{
			Name: "DISCONNECT with everything", Version: packet.V5, Whole: []int{0, 1},
			Packet: &packet.Disconnect{Code: packet.UseAnotherServer, SessionExpiry: packet.Some[uint32](0),
				ReasonString: packet.Some("moving"), User: []packet.UserProperty{{Key: "k", Value: "v"}},
				ServerReference: packet.Some("b.example")},
			Bytes: wire(0xe0, "\x9c", props("\x11\x00\x00\x00\x00", "\x1f", str("moving"), user("k", "v"),
				"\x1c", str("b.example"))),
		},
	}
}

func disconnectRefusals() []Refusal {
	const mal, proto = packet.MalformedPacket, packet.ProtocolError
	v4, v5 := packet.V311, packet.V5
	return []Refusal{
		{"DISCONNECT with a fixed-header flag", v4, wire(0xe2), mal, "MQTT-3.14.1-1"},
		{"DISCONNECT of 3.1.1 with a code", v4, wire(0xe0, "\x00"), mal, "2.1.4"},
		{"DISCONNECT with a code of another packet", v5, wire(0xe0, "\x86"), proto, "MQTT-3.14.2-1"},
		{"DISCONNECT with code 1", v5, wire(0xe0, "\x01"), proto, "MQTT-3.14.2-1"},
		{"DISCONNECT with Packet Identifier in use", v5, wire(0xe0, "\x91"), proto, "MQTT-3.14.2-1"},
		{"DISCONNECT with a property twice", v5, wire(0xe0, "\x00", props("\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01")), proto, "2.2.2.2"},
		{"DISCONNECT with a property of another packet", v5, wire(0xe0, "\x00", props("\x15", str("m"))), mal, "2.2.2.2"},
		{"DISCONNECT with bytes behind it", v5, wire(0xe0, "\x00", props(), "x"), mal, "2.1.4"},
	}
}

func authCases() []Case {
	return []Case{
		{Name: "AUTH", Version: packet.V5, Packet: &packet.Auth{}, Bytes: wire(0xf0)},
		{
			Name: "AUTH with a method", Version: packet.V5, Whole: []int{0},
			Packet: &packet.Auth{Code: packet.ReAuthenticate, AuthMethod: packet.Some("M")},
			Bytes:  wire(0xf0, "\x19", props("\x15", str("M"))),
		},
		{
			Name: "AUTH with everything", Version: packet.V5, Whole: []int{0},
			Packet: &packet.Auth{Code: packet.ContinueAuthentication, AuthMethod: packet.Some("SCRAM"),
				AuthData: []byte{1, 2}, ReasonString: packet.Some("step 2"),
				User: []packet.UserProperty{{Key: "k", Value: "v"}}},
			Bytes: wire(0xf0, "\x18", props("\x15", str("SCRAM"), "\x16", str("\x01\x02"), "\x1f", str("step 2"),
				user("k", "v"))),
		},
	}
}

func authRefusals() []Refusal {
	const mal, proto = packet.MalformedPacket, packet.ProtocolError
	v4, v5 := packet.V311, packet.V5
	return []Refusal{
		{"AUTH of 3.1.1", v4, wire(0xf0), mal, "2.1.2"},
		{"AUTH with a fixed-header flag", v5, wire(0xf2), mal, "MQTT-3.15.1-1"},
		{"AUTH with a code of another packet", v5, wire(0xf0, "\x87", props("\x15", str("M"))), proto, "MQTT-3.15.2-1"},
		{"AUTH without a method", v5, wire(0xf0, "\x18", props("\x16", str("x"))), proto, "MQTT-4.12.0-5"},
		{"AUTH without properties", v5, wire(0xf0, "\x18"), proto, "MQTT-4.12.0-5"},
		{"AUTH with the method twice", v5, wire(0xf0, "\x18", props("\x15", str("M"), "\x15", str("M"))), proto, "2.2.2.2"},
		{"AUTH with a property of another packet", v5, wire(0xf0, "\x18", props("\x15", str("M"), "\x11\x00\x00\x00\x01")), mal, "2.2.2.2"},
	}
}
