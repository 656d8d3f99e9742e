package packettest

import "github.com/nightjarmq/nightjar/packet"

const (
	mqtt4 = "\x00\x04MQTT\x04"
	mqtt5 = "\x00\x04MQTT\x05"
	mqis3 = "\x00\x06MQIsdp\x03"
)

// connectCases have their fields in the order of the standard, each with its flag. [MQTT-2.2.2-1]
// [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.3-1] [MQTT-3.1.3-3]
// [MQTT-3.1.3-4]
func connectCases() []Case {
	return []Case{
		{
			Name: "CONNECT of 3.1", Version: packet.V31,
			Packet: &packet.Connect{Version: packet.V31, CleanStart: true, KeepAlive: 60, ClientID: "c1"},
			Bytes:  wire(0x10, mqis3, "\x02\x00\x3c", str("c1")),
		},
		{
			Name: "CONNECT of 3.1 with user and password", Version: packet.V31,
			Packet: &packet.Connect{Version: packet.V31, ClientID: "c", Username: packet.Some("u"),
				Password: packet.Some([]byte("p"))},
			Bytes: wire(0x10, mqis3, "\xc0\x00\x00", str("c"), str("u"), str("p")),
			Whole: []int{15, 18}, // 3.1 lets the announced User Name and Password be missing
		},
		{
			Name: "CONNECT of 3.1.1", Version: packet.V311,
			Packet: &packet.Connect{Version: packet.V311, KeepAlive: 0x1234, ClientID: "device"},
			Bytes:  wire(0x10, mqtt4, "\x00\x12\x34", str("device")),
		},
		{
			Name: "CONNECT of 3.1.1 without a client identifier", Version: packet.V311,
			Packet: &packet.Connect{Version: packet.V311, CleanStart: true},
			Bytes:  wire(0x10, mqtt4, "\x02\x00\x00", str("")),
		},
		{
			Name: "CONNECT of 3.1.1 from a bridge", Version: packet.V311,
			Packet: &packet.Connect{Version: packet.V311, Bridge: true, CleanStart: true, ClientID: "b"},
			Bytes:  wire(0x10, "\x00\x04MQTT\x84", "\x02\x00\x00", str("b")),
		},
		{
			Name: "CONNECT of 3.1 from a bridge", Version: packet.V31,
			Packet: &packet.Connect{Version: packet.V31, Bridge: true, ClientID: "b"},
			Bytes:  wire(0x10, "\x00\x06MQIsdp\x83", "\x00\x00\x00", str("b")),
		},
		{
			Name: "CONNECT of 5.0", Version: packet.V5,
			Packet: &packet.Connect{Version: packet.V5, CleanStart: true, KeepAlive: 30, ClientID: "c5"},
			Bytes:  wire(0x10, mqtt5, "\x02\x00\x1e", props(), str("c5")),
		},
		{
			Name: "CONNECT of 5.0 with a password and no user", Version: packet.V5,
			Packet: &packet.Connect{Version: packet.V5, ClientID: "c", Password: packet.Some([]byte("token"))},
			Bytes:  wire(0x10, mqtt5, "\x40\x00\x00", props(), str("c"), str("token")),
		},
		{
			Name: "CONNECT of 5.0 with every property", Version: packet.V5,
			Packet: &packet.Connect{Version: packet.V5, ClientID: "c", SessionExpiry: packet.Some[uint32](0xFFFFFFFF),
				ReceiveMaximum: packet.Some[uint16](10), MaximumPacketSize: packet.Some[uint32](65536),
				TopicAliasMaximum: packet.Some[uint16](0), RequestResponseInfo: packet.Some[byte](1),
				RequestProblemInfo: packet.Some[byte](0),
				User:               []packet.UserProperty{{Key: "k", Value: "v"}, {Key: "k", Value: ""}},
				AuthMethod:         packet.Some("SCRAM"), AuthData: []byte{0, 1}},
			Bytes: wire(0x10, mqtt5, "\x00\x00\x00", props("\x11\xff\xff\xff\xff", "\x21\x00\x0a",
				"\x27\x00\x01\x00\x00", "\x22\x00\x00", "\x19\x01", "\x17\x00", user("k", "v"), user("k", ""),
				"\x15", str("SCRAM"), "\x16", str("\x00\x01")), str("c")),
		},
		{
			Name: "CONNECT of 5.0 with empty authentication data", Version: packet.V5,
			Packet: &packet.Connect{Version: packet.V5, AuthMethod: packet.Some(""), AuthData: []byte{}},
			Bytes:  wire(0x10, mqtt5, "\x00\x00\x00", props("\x15", str(""), "\x16", str("")), str("")),
		},
	}
}

// willCases have all three fields of a Will, and what follows it. [MQTT-3.1.2-9] [MQTT-3.1.2-17]
// [MQTT-3.1.2-19] [MQTT-3.1.3-1] [MQTT-3.1.3-11] [MQTT-3.1.3-12]
func willCases() []Case {
	return []Case{
		{
			Name: "CONNECT of 3.1.1 with everything", Version: packet.V311,
			Packet: &packet.Connect{Version: packet.V311, CleanStart: true, KeepAlive: 10, ClientID: "c",
				Will:     &packet.Will{Topic: "w/t", Payload: []byte("gone"), QoS: 2, Retain: true},
				Username: packet.Some("ü"), Password: packet.Some([]byte{0, 0xff})},
			Bytes: wire(0x10, mqtt4, "\xf6\x00\x0a", str("c"), str("w/t"), str("gone"), str("ü"), str("\x00\xff")),
		},
		{
			Name: "CONNECT of 3.1.1 with an empty Will", Version: packet.V311,
			Packet: &packet.Connect{Version: packet.V311, ClientID: "c", Username: packet.Some(""),
				Will: &packet.Will{Topic: "w", Payload: []byte{}, QoS: 1}},
			Bytes: wire(0x10, mqtt4, "\x8c\x00\x00", str("c"), str("w"), str(""), str("")),
		},
		{
			Name: "CONNECT of 5.0 with every Will property", Version: packet.V5,
			Packet: &packet.Connect{Version: packet.V5, ClientID: "c", Will: &packet.Will{
				Topic: "w", Payload: []byte("{}"), DelayInterval: packet.Some[uint32](5),
				PayloadFormat: packet.Some[byte](1), MessageExpiry: packet.Some[uint32](3600),
				ContentType: packet.Some("application/json"), ResponseTopic: packet.Some("re"),
				CorrelationData: []byte{7}, User: []packet.UserProperty{{Key: "a", Value: "b"}}}},
			Bytes: wire(0x10, mqtt5, "\x04\x00\x00", props(), str("c"),
				props("\x18\x00\x00\x00\x05", "\x01\x01", "\x02\x00\x00\x0e\x10", "\x03", str("application/json"),
					"\x08", str("re"), "\x09", str("\x07"), user("a", "b")), str("w"), str("{}")),
		},
	}
}

func connectRefusals() []Refusal {
	const mal, proto, version = packet.MalformedPacket, packet.ProtocolError, packet.UnsupportedProtocolVersion
	v4, v5 := packet.V311, packet.V5
	return []Refusal{
		{"CONNECT with a fixed-header flag", v4, wire(0x11, mqtt4, "\x02\x00\x00", str("c")), mal, "MQTT-2.1.3-1"}, // [3.1.1: MQTT-2.2.2-2]
		{"CONNECT with an unknown name", v4, wire(0x10, str("HTTP"), "\x04\x02\x00\x00", str("c")), version, "MQTT-3.1.2-1"},
		{"CONNECT with a name in small letters", v4, wire(0x10, str("mqtt"), "\x04\x02\x00\x00", str("c")), version, "MQTT-3.1.2-1"},
		{"CONNECT with level 6", v5, wire(0x10, str("MQTT"), "\x06\x02\x00\x00", props(), str("c")), version, "MQTT-3.1.2-2"},
		{"CONNECT with level 2", v4, wire(0x10, str("MQIsdp"), "\x02\x02\x00\x00", str("c")), version, "MQTT-3.1.2-2"},
		{"CONNECT with the name of 3.1 and level 4", v4, wire(0x10, str("MQIsdp"), "\x04\x02\x00\x00", str("c")), version, "MQTT-3.1.2-2"},
		{"CONNECT with the name of 3.1.1 and level 3", v4, wire(0x10, str("MQTT"), "\x03\x02\x00\x00", str("c")), version, "MQTT-3.1.2-2"},
		{"CONNECT of 5.0 with the bridge bit", v5, wire(0x10, str("MQTT"), "\x85\x02\x00\x00", props(), str("c")), version, "MQTT-3.1.2-2"},
		{"CONNECT with the reserved flag", v4, wire(0x10, mqtt4, "\x03\x00\x00", str("c")), mal, "MQTT-3.1.2-3"},
		{"CONNECT of 5.0 with the reserved flag", v5, wire(0x10, mqtt5, "\x03\x00\x00", props(), str("c")), mal, "MQTT-3.1.2-3"},
		{"CONNECT with Will QoS and no Will", v4, wire(0x10, mqtt4, "\x0a\x00\x00", str("c")), mal, "MQTT-3.1.2-11"},          // [3.1.1: MQTT-3.1.2-13]
		{"CONNECT with Will Retain and no Will", v4, wire(0x10, mqtt4, "\x22\x00\x00", str("c")), mal, "MQTT-3.1.2-13"},       // [3.1.1: MQTT-3.1.2-15]
		{"CONNECT with Will QoS 3", v4, wire(0x10, mqtt4, "\x1c\x00\x00", str("c"), str("w"), str("")), mal, "MQTT-3.1.2-12"}, // [3.1.1: MQTT-3.1.2-14]
		{"CONNECT of 3.1.1 with a password and no user", v4, wire(0x10, mqtt4, "\x42\x00\x00", str("c"), str("p")), mal, "3.1.1: MQTT-3.1.2-22"},
		{"CONNECT of 3.1 with a password and no user", packet.V31, wire(0x10, mqis3, "\x42\x00\x00", str("c"), str("p")), mal, "3.1.1: MQTT-3.1.2-22"},
		{"CONNECT without the announced user", v4, wire(0x10, mqtt4, "\x82\x00\x00", str("c")), mal, "2.1.4"}, // [MQTT-3.1.2-17]
		{"CONNECT without the announced Will", v4, wire(0x10, mqtt4, "\x06\x00\x00", str("c")), mal, "2.1.4"}, // [MQTT-3.1.2-9]
		{"CONNECT without a client identifier", v4, wire(0x10, mqtt4, "\x02\x00\x00"), mal, "2.1.4"},          // [MQTT-3.1.3-3]
		{"CONNECT with bytes behind it", v4, wire(0x10, mqtt4, "\x02\x00\x00", str("c"), "x"), mal, "2.1.4"},
		{"CONNECT with an unannounced user", v4, wire(0x10, mqtt4, "\x02\x00\x00", str("c"), str("u")), mal, "2.1.4"},                       // [MQTT-3.1.2-16]
		{"CONNECT with U+0000 in the client identifier", v4, wire(0x10, mqtt4, "\x02\x00\x00", str("a\x00b")), mal, "MQTT-1.5.4-1"},         // [3.1.1: MQTT-1.5.3-2] [MQTT-3.1.3-4]
		{"CONNECT with a surrogate in the user", v4, wire(0x10, mqtt4, "\x82\x00\x00", str("c"), str("\xed\xa0\x80")), mal, "MQTT-1.5.4-1"}, // [3.1.1: MQTT-1.5.3-1] [MQTT-3.1.3-12]
		{"CONNECT with an empty Will Topic", v4, wire(0x10, mqtt4, "\x06\x00\x00", str("c"), str(""), str("")), packet.TopicNameInvalid, "MQTT-4.7.3-1"},
		{"CONNECT with a wildcard in the Will Topic", v4, wire(0x10, mqtt4, "\x06\x00\x00", str("c"), str("a/#"), str("")), packet.TopicNameInvalid, "MQTT-4.7.0-1"},
		{"CONNECT with an overlong character in the Will Topic", v4, wire(0x10, mqtt4, "\x06\x00\x00", str("c"), str("\xc0\xaf"), str("")), mal, "MQTT-1.5.4-1"}, // [MQTT-3.1.3-11]
		{"CONNECT of 5.0 without Property Length", v5, wire(0x10, mqtt5, "\x02\x00\x00"), mal, "2.1.4"},
		{"CONNECT with Authentication Data alone", v5, wire(0x10, mqtt5, "\x02\x00\x00", props("\x16", str("x")), str("c")), proto, "3.1.2.11.10"},
	}
}

func connectPropertyRefusals() []Refusal {
	const mal, proto = packet.MalformedPacket, packet.ProtocolError
	connect := func(ps ...string) []byte { return wire(0x10, mqtt5, "\x02\x00\x00", props(ps...), str("c")) }
	will := func(ps ...string) []byte {
		return wire(0x10, mqtt5, "\x06\x00\x00", props(), str("c"), props(ps...), str("w"), str(""))
	}
	list := []struct {
		name   string
		bytes  []byte
		code   packet.Code
		clause string
	}{
		{"Receive Maximum 0", connect("\x21\x00\x00"), proto, "2.2.2.2"},
		{"Maximum Packet Size 0", connect("\x27\x00\x00\x00\x00"), proto, "2.2.2.2"},
		{"Request Response Information 2", connect("\x19\x02"), proto, "2.2.2.2"},
		{"Request Problem Information 2", connect("\x17\x02"), proto, "2.2.2.2"},
		{"a property twice", connect("\x21\x00\x01", "\x21\x00\x01"), proto, "2.2.2.2"},
		{"a property that does not exist", connect("\x05\x00"), mal, "2.2.2.2"},
		{"a property identifier of 64", connect("\x40\x00"), mal, "2.2.2.2"},
		{"a property identifier of two bytes", connect("\x91\x00\x00"), mal, "2.2.2.2"},
		{"a property of another packet", connect("\x23\x00\x01"), mal, "2.2.2.2"},
		{"a Will property among its own", connect("\x18\x00\x00\x00\x01"), mal, "2.2.2.2"},
		{"a truncated property", connect("\x21\x00"), mal, "2.1.4"},
		{"a string past the Property Length", connect("\x15\x00\x02a"), mal, "2.1.4"},
		{"bad UTF-8 in a user property", connect(user("k", "\xff")), mal, "MQTT-1.5.4-1"}, // [MQTT-1.5.7-1]
		{"Will: Payload Format Indicator 2", will("\x01\x02"), proto, "2.2.2.2"},
		{"Will: a property twice", will("\x18\x00\x00\x00\x01", "\x18\x00\x00\x00\x01"), proto, "2.2.2.2"},
		{"Will: a property of CONNECT", will("\x11\x00\x00\x00\x01"), mal, "2.2.2.2"},
		{"Will: Response Topic with a wildcard", will("\x08", str("a/+")), mal, "MQTT-3.3.2-14"},
		{"Will: empty Response Topic", will("\x08", str("")), proto, "MQTT-4.7.3-1"},
	}
	var all []Refusal
	for _, l := range list {
		all = append(all, Refusal{"CONNECT with " + l.name, packet.V5, l.bytes, l.code, l.clause})
	}
	return append(all,
		Refusal{"CONNECT with a Property Length past its end", packet.V5, wire(0x10, mqtt5, "\x02\x00\x00\x7f", str("c")), mal, "2.1.4"},
		Refusal{"CONNECT with a Property Length longer than needed", packet.V5, wire(0x10, mqtt5, "\x02\x00\x00\x80\x00", str("c")), mal, "MQTT-1.5.5-1"},
		Refusal{"CONNECT with a Property Length of five bytes", packet.V5, wire(0x10, mqtt5, "\x02\x00\x00\x80\x80\x80\x80\x01", str("c")), mal, "1.5.5"},
	)
}
