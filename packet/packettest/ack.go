package packettest

import "github.com/nightjarmq/nightjar/packet"

func ackCases() []Case {
	reason := packet.Ack{PacketID: 3, Code: packet.PacketIdentifierNotFound, ReasonString: packet.Some("no such id"),
		User: []packet.UserProperty{{Key: "k", Value: "v"}}}
	pubrel, pubcomp := packet.Pubrel(reason), packet.Pubcomp(reason)
	bytes := "\x00\x03\x92" + props("\x1f", str("no such id"), user("k", "v"))
	return []Case{
		{Name: "PUBACK of 3.1", Version: packet.V31, Packet: &packet.Puback{PacketID: 1}, Bytes: wire(0x40, "\x00\x01")},
		{Name: "PUBACK of 3.1.1", Version: packet.V311, Packet: &packet.Puback{PacketID: 256}, Bytes: wire(0x40, "\x01\x00")},
		{Name: "PUBREC of 3.1.1", Version: packet.V311, Packet: &packet.Pubrec{PacketID: 1}, Bytes: wire(0x50, "\x00\x01")},
		{Name: "PUBREL of 3.1.1", Version: packet.V311, Packet: &packet.Pubrel{PacketID: 1}, Bytes: wire(0x62, "\x00\x01")},
		{Name: "PUBCOMP of 3.1.1", Version: packet.V311, Packet: &packet.Pubcomp{PacketID: 1}, Bytes: wire(0x70, "\x00\x01")},
		{Name: "PUBACK of 5.0", Version: packet.V5, Packet: &packet.Puback{PacketID: 2}, Bytes: wire(0x40, "\x00\x02")},
		{Name: "PUBREC of 5.0", Version: packet.V5, Packet: &packet.Pubrec{PacketID: 2}, Bytes: wire(0x50, "\x00\x02")},
		{Name: "PUBREL of 5.0", Version: packet.V5, Packet: &packet.Pubrel{PacketID: 2}, Bytes: wire(0x62, "\x00\x02")},
		{Name: "PUBCOMP of 5.0", Version: packet.V5, Packet: &packet.Pubcomp{PacketID: 2}, Bytes: wire(0x70, "\x00\x02")},
		{
			Name: "PUBACK with a code", Version: packet.V5, Whole: []int{2},
			Packet: &packet.Puback{PacketID: 2, Code: packet.NoMatchingSubscribers}, Bytes: wire(0x40, "\x00\x02\x10"),
		},
		{
			Name: "PUBREC with a code", Version: packet.V5, Whole: []int{2},
			Packet: &packet.Pubrec{PacketID: 2, Code: packet.QuotaExceeded}, Bytes: wire(0x50, "\x00\x02\x97"),
		},
		{
			Name: "PUBACK with Success and a reason", Version: packet.V5, Whole: []int{2, 3},
			Packet: &packet.Puback{PacketID: 2, ReasonString: packet.Some("")},
			Bytes:  wire(0x40, "\x00\x02\x00", props("\x1f", str(""))),
		},
		{
			Name: "PUBREC with properties", Version: packet.V5, Whole: []int{2, 3},
			Packet: &packet.Pubrec{PacketID: 2, User: []packet.UserProperty{{Key: "k", Value: "v"}}},
			Bytes:  wire(0x50, "\x00\x02\x00", props(user("k", "v"))),
		},
		{Name: "PUBREL with everything", Version: packet.V5, Whole: []int{2, 3}, Packet: &pubrel, Bytes: wire(0x62, bytes)},
		{Name: "PUBCOMP with everything", Version: packet.V5, Whole: []int{2, 3}, Packet: &pubcomp, Bytes: wire(0x70, bytes)},
	}
}

func ackRefusals() []Refusal {
	const mal, proto = packet.MalformedPacket, packet.ProtocolError
	v4, v5 := packet.V311, packet.V5
	return []Refusal{
		{"PUBACK with a fixed-header flag", v4, wire(0x41, "\x00\x01"), mal, "MQTT-2.1.3-1"},
		{"PUBREC with a fixed-header flag", v4, wire(0x52, "\x00\x01"), mal, "MQTT-2.1.3-1"},
		{"PUBREL without its fixed-header flag", v4, wire(0x60, "\x00\x01"), mal, "MQTT-3.6.1-1"},
		{"PUBREL of 3.1.1 with DUP", v4, wire(0x6a, "\x00\x01"), mal, "MQTT-3.6.1-1"},
		{"PUBCOMP with a fixed-header flag", v5, wire(0x78, "\x00\x01"), mal, "MQTT-2.1.3-1"},
		{"PUBACK with packet identifier 0", v4, wire(0x40, "\x00\x00"), proto, "MQTT-2.2.1-3"},
		{"PUBREL with packet identifier 0", v5, wire(0x62, "\x00\x00"), proto, "MQTT-2.2.1-3"},
		{"PUBACK without a body", v4, wire(0x40), mal, "2.1.4"},
		{"PUBACK of 3.1.1 with a code", v4, wire(0x40, "\x00\x01\x00"), mal, "2.1.4"},
		{"PUBACK with a code of another packet", v5, wire(0x40, "\x00\x01\x92"), proto, "MQTT-3.4.2-1"},
		{"PUBREC with a code of another packet", v5, wire(0x50, "\x00\x01\x01"), proto, "MQTT-3.5.2-1"},
		{"PUBREL with a code of another packet", v5, wire(0x62, "\x00\x01\x91"), proto, "MQTT-3.6.2-1"},
		{"PUBCOMP with a code of another packet", v5, wire(0x70, "\x00\x01\x10"), proto, "MQTT-3.7.2-1"},
		{"PUBACK with a property twice", v5, wire(0x40, "\x00\x01\x00", props("\x1f", str(""), "\x1f", str(""))), proto, "2.2.2.2"},
		{"PUBACK with a property of another packet", v5, wire(0x40, "\x00\x01\x00", props("\x1c", str(""))), mal, "2.2.2.2"},
		{"PUBACK with bytes behind it", v5, wire(0x40, "\x00\x01\x00", props(), "x"), mal, "2.1.4"},
	}
}
