package packettest

import "github.com/nightjarmq/nightjar/packet"

func subscribeCases() []Case {
	filter := func(f string, o packet.Options) packet.SubscribeFilter {
		return packet.SubscribeFilter{Filter: f, Options: o}
	}
	two := []packet.SubscribeFilter{filter("a/+", packet.Options{QoS: 1}), filter("#", packet.Options{QoS: 2})}
	return []Case{
		{
			Name: "SUBSCRIBE of 3.1", Version: packet.V31,
			Packet: &packet.Subscribe{PacketID: 1, Filters: two[:1]},
			Bytes:  wire(0x82, "\x00\x01", str("a/+"), "\x01"),
		},
		{
			Name: "SUBSCRIBE of 3.1.1", Version: packet.V311, Whole: []int{8},
			Packet: &packet.Subscribe{PacketID: 10, Filters: two},
			Bytes:  wire(0x82, "\x00\x0a", str("a/+"), "\x01", str("#"), "\x02"),
		},
		{
			Name: "SUBSCRIBE of 5.0", Version: packet.V5,
			Packet: &packet.Subscribe{PacketID: 10, Filters: []packet.SubscribeFilter{filter("a", packet.Options{})}},
			Bytes:  wire(0x82, "\x00\x0a", props(), str("a"), "\x00"),
		},
		{
			Name: "SUBSCRIBE of 5.0 with everything", Version: packet.V5, Whole: []int{20, 26},
			Packet: &packet.Subscribe{PacketID: 10, SubscriptionID: packet.Some[uint32](16384),
				User: []packet.UserProperty{{Key: "k", Value: "v"}},
				Filters: []packet.SubscribeFilter{
					filter("a/#", packet.Options{QoS: 2, NoLocal: true}),
					filter("b/#", packet.Options{RetainAsPublished: true, RetainHandling: 1}),
					filter("$share/g/ö", packet.Options{QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}),
				}},
			Bytes: wire(0x82, "\x00\x0a", props("\x0b\x80\x80\x01", user("k", "v")), str("a/#"), "\x06",
				str("b/#"), "\x18", str("$share/g/ö"), "\x2d"),
		},
	}
}

func subscribeRefusals() []Refusal {
	const mal, proto = packet.MalformedPacket, packet.ProtocolError
	v4, v5 := packet.V311, packet.V5
	return []Refusal{
		{"SUBSCRIBE without its fixed-header flag", v4, wire(0x80, "\x00\x01", str("a"), "\x00"), mal, "MQTT-3.8.1-1"},
		{"SUBSCRIBE of 3.1.1 with DUP", v4, wire(0x8a, "\x00\x01", str("a"), "\x00"), mal, "MQTT-3.8.1-1"},
		{"SUBSCRIBE with packet identifier 0", v4, wire(0x82, "\x00\x00", str("a"), "\x00"), proto, "MQTT-2.2.1-3"},
		{"SUBSCRIBE without a filter", v4, wire(0x82, "\x00\x01"), proto, "MQTT-3.8.3-2"},
		{"SUBSCRIBE of 5.0 without a filter", v5, wire(0x82, "\x00\x01", props()), proto, "MQTT-3.8.3-2"},
		{"SUBSCRIBE with an empty filter", v4, wire(0x82, "\x00\x01", str(""), "\x00"), packet.TopicFilterInvalid, "MQTT-4.7.3-1"},
		{"SUBSCRIBE without options", v4, wire(0x82, "\x00\x01", str("a")), mal, "2.1.4"},
		{"SUBSCRIBE with bad UTF-8", v4, wire(0x82, "\x00\x01", str("a\xff"), "\x00"), mal, "MQTT-1.5.4-1"}, // [MQTT-3.8.3-1]
		{"SUBSCRIBE of 3.1.1 with No Local", v4, wire(0x82, "\x00\x01", str("a"), "\x04"), mal, "MQTT-3.8.3-5"},
		{"SUBSCRIBE of 3.1.1 with QoS 3", v4, wire(0x82, "\x00\x01", str("a"), "\x03"), proto, "3.8.3.1"},
		{"SUBSCRIBE of 5.0 with QoS 3", v5, wire(0x82, "\x00\x01", props(), str("a"), "\x03"), proto, "3.8.3.1"},
		{"SUBSCRIBE of 5.0 with Retain Handling 3", v5, wire(0x82, "\x00\x01", props(), str("a"), "\x30"), proto, "3.8.3.1"},
		{"SUBSCRIBE of 5.0 with reserved bit 6", v5, wire(0x82, "\x00\x01", props(), str("a"), "\x40"), mal, "MQTT-3.8.3-5"},
		{"SUBSCRIBE of 5.0 with reserved bit 7", v5, wire(0x82, "\x00\x01", props(), str("a"), "\x80"), mal, "MQTT-3.8.3-5"},
		{"SUBSCRIBE with Subscription Identifier 0", v5, wire(0x82, "\x00\x01", props("\x0b\x00"), str("a"), "\x00"), proto, "3.8.2.1.2"},
		{"SUBSCRIBE with Subscription Identifier twice", v5, wire(0x82, "\x00\x01", props("\x0b\x01\x0b\x01"), str("a"), "\x00"), proto, "2.2.2.2"},
		{"SUBSCRIBE with a Reason String", v5, wire(0x82, "\x00\x01", props("\x1f", str("")), str("a"), "\x00"), mal, "2.2.2.2"},
	}
}

func subackCases() []Case {
	return []Case{
		{
			Name: "SUBACK of 3.1.1", Version: packet.V311, Whole: []int{3, 4, 5},
			Packet: &packet.Suback{PacketID: 1, Codes: []packet.Code{0, 1, 2, packet.UnspecifiedError}},
			Bytes:  wire(0x90, "\x00\x01", "\x00\x01\x02\x80"),
		},
		{
			Name: "SUBACK of 5.0", Version: packet.V5, Whole: []int{4},
			Packet: &packet.Suback{PacketID: 1, Codes: []packet.Code{packet.GrantedQoS2, packet.NotAuthorized}},
			Bytes:  wire(0x90, "\x00\x01", props(), "\x02\x87"),
		},
		{
			Name: "SUBACK of 5.0 with properties", Version: packet.V5,
			Packet: &packet.Suback{PacketID: 1, ReasonString: packet.Some("why"),
				User: []packet.UserProperty{{Key: "k", Value: "v"}}, Codes: []packet.Code{packet.Success}},
			Bytes: wire(0x90, "\x00\x01", props("\x1f", str("why"), user("k", "v")), "\x00"),
		},
	}
}

func subackRefusals() []Refusal {
	const mal, proto = packet.MalformedPacket, packet.ProtocolError
	v4, v5 := packet.V311, packet.V5
	return []Refusal{
		{"SUBACK with a fixed-header flag", v4, wire(0x92, "\x00\x01\x00"), mal, "MQTT-2.1.3-1"},
		{"SUBACK with packet identifier 0", v4, wire(0x90, "\x00\x00\x00"), proto, "MQTT-2.2.1-3"},
		{"SUBACK without a code", v4, wire(0x90, "\x00\x01"), proto, "MQTT-3.8.4-6"},
		{"SUBACK of 5.0 without a code", v5, wire(0x90, "\x00\x01", props()), proto, "MQTT-3.8.4-6"},
		{"SUBACK of 3.1.1 with a code of 5.0", v4, wire(0x90, "\x00\x01\x87"), proto, "MQTT-3.9.3-2"}, // [3.1.1: MQTT-3.9.3-2]
		{"SUBACK with QoS 3", v5, wire(0x90, "\x00\x01", props(), "\x03"), proto, "MQTT-3.9.3-2"},
		{"SUBACK with a property of another packet", v5, wire(0x90, "\x00\x01", props("\x0b\x01"), "\x00"), mal, "2.2.2.2"},
	}
}

func unsubscribeCases() []Case {
	return []Case{
		{
			Name: "UNSUBSCRIBE of 3.1.1", Version: packet.V311, Whole: []int{5},
			Packet: &packet.Unsubscribe{PacketID: 2, Filters: []string{"a", "b/#"}},
			Bytes:  wire(0xa2, "\x00\x02", str("a"), str("b/#")),
		},
		{
			Name: "UNSUBSCRIBE of 5.0", Version: packet.V5,
			Packet: &packet.Unsubscribe{PacketID: 2, User: []packet.UserProperty{{Key: "k", Value: "v"}},
				Filters: []string{"a"}},
			Bytes: wire(0xa2, "\x00\x02", props(user("k", "v")), str("a")),
		},
		{
			Name: "UNSUBACK of 3.1.1", Version: packet.V311,
			Packet: &packet.Unsuback{PacketID: 2}, Bytes: wire(0xb0, "\x00\x02"),
		},
		{
			Name: "UNSUBACK of 5.0", Version: packet.V5, Whole: []int{4},
			Packet: &packet.Unsuback{PacketID: 2, Codes: []packet.Code{packet.Success, packet.NoSubscriptionExisted}},
			Bytes:  wire(0xb0, "\x00\x02", props(), "\x00\x11"),
		},
		{
			Name: "UNSUBACK of 5.0 with properties", Version: packet.V5,
			Packet: &packet.Unsuback{PacketID: 2, ReasonString: packet.Some("x"), Codes: []packet.Code{packet.NotAuthorized},
				User: []packet.UserProperty{{Key: "k", Value: "v"}}},
			Bytes: wire(0xb0, "\x00\x02", props("\x1f", str("x"), user("k", "v")), "\x87"),
		},
	}
}

func unsubscribeRefusals() []Refusal {
	const mal, proto = packet.MalformedPacket, packet.ProtocolError
	v4, v5 := packet.V311, packet.V5
	return []Refusal{
		{"UNSUBSCRIBE without its fixed-header flag", v4, wire(0xa0, "\x00\x01", str("a")), mal, "MQTT-3.10.1-1"},
		{"UNSUBSCRIBE with packet identifier 0", v4, wire(0xa2, "\x00\x00", str("a")), proto, "MQTT-2.2.1-3"},
		{"UNSUBSCRIBE without a filter", v4, wire(0xa2, "\x00\x01"), proto, "MQTT-3.10.3-2"},
		{"UNSUBSCRIBE of 5.0 without a filter", v5, wire(0xa2, "\x00\x01", props()), proto, "MQTT-3.10.3-2"},
		{"UNSUBSCRIBE with an empty filter", v4, wire(0xa2, "\x00\x01", str("")), packet.TopicFilterInvalid, "MQTT-4.7.3-1"},
		{"UNSUBSCRIBE with bad UTF-8", v4, wire(0xa2, "\x00\x01", str("\x80")), mal, "MQTT-1.5.4-1"}, // [MQTT-3.10.3-1]
		{"UNSUBSCRIBE with a Subscription Identifier", v5, wire(0xa2, "\x00\x01", props("\x0b\x01"), str("a")), mal, "2.2.2.2"},
		{"UNSUBACK with a fixed-header flag", v4, wire(0xb2, "\x00\x01"), mal, "MQTT-2.1.3-1"},
		{"UNSUBACK with packet identifier 0", v4, wire(0xb0, "\x00\x00"), proto, "MQTT-2.2.1-3"},
		{"UNSUBACK of 3.1.1 with a code", v4, wire(0xb0, "\x00\x01\x00"), mal, "2.1.4"},
		{"UNSUBACK of 5.0 without a code", v5, wire(0xb0, "\x00\x01", props()), proto, "MQTT-3.11.3-2"},
		{"UNSUBACK with a code of another packet", v5, wire(0xb0, "\x00\x01", props(), "\x01"), proto, "MQTT-3.11.3-2"},
	}
}
