package packettest

import (
	"bytes"
	"strings"

	"github.com/nightjarmq/nightjar/packet"
)

// publishCases have the topic first, and an identifier only with QoS 1 and 2. [MQTT-2.2.1-2]
// [MQTT-3.3.2-1]
func publishCases() []Case {
	forward := user("k", "v") + user("", "")
	long := strings.Repeat("t", 200)
	return []Case{
		{
			Name: "PUBLISH of 3.1", Version: packet.V31,
			Packet: &packet.Publish{Topic: []byte("a"), Payload: []byte("x")},
			Bytes:  wire(0x30, str("a"), "x"),
		},
		{
			Name: "PUBLISH of 3.1.1 without payload", Version: packet.V311,
			Packet: &packet.Publish{Topic: []byte("a/b"), Retain: true, Payload: []byte{}},
			Bytes:  wire(0x31, str("a/b")),
		},
		{
			Name: "PUBLISH of 3.1.1 again with QoS 2", Version: packet.V311,
			Packet: &packet.Publish{Topic: []byte("sensor/temp/kitchen"), Dup: true, QoS: 2, PacketID: 0x0102,
				Payload: []byte("21.5")},
			Bytes: wire(0x3c, str("sensor/temp/kitchen"), "\x01\x02", "21.5"),
		},
		{
			Name: "PUBLISH of 3.1.1 with a topic outside ASCII", Version: packet.V311,
			Packet: &packet.Publish{Topic: []byte("Küche/温度/🌡\ufeff"), QoS: 1, PacketID: 65535, Payload: []byte{0}},
			Bytes:  wire(0x32, str("Küche/温度/🌡\ufeff"), "\xff\xff", "\x00"),
		},
		{
			Name: "PUBLISH of 3.1.1 with a length of two bytes", Version: packet.V311,
			Packet: &packet.Publish{Topic: []byte(long), Payload: bytes.Repeat([]byte("p"), 300)},
			Bytes:  wire(0x30, str(long), strings.Repeat("p", 300)),
		},
		{
			Name: "PUBLISH of 5.0 without properties", Version: packet.V5,
			Packet: &packet.Publish{Topic: []byte("a"), QoS: 1, PacketID: 7, Payload: []byte("x")},
			Bytes:  wire(0x32, str("a"), "\x00\x07", props(), "x"),
		},
		{
			Name: "PUBLISH of 5.0 by alias", Version: packet.V5,
			Packet: &packet.Publish{Topic: []byte{}, PublishProperties: packet.PublishProperties{
				TopicAlias: packet.Some[uint16](5)}, Payload: []byte("x")},
			Bytes: wire(0x30, str(""), props("\x23\x00\x05"), "x"),
		},
		{
			Name: "PUBLISH of 5.0 with every property", Version: packet.V5,
			Packet: &packet.Publish{Topic: []byte("a"), PublishProperties: packet.PublishProperties{
				TopicAlias: packet.Some[uint16](1), MessageExpiry: packet.Some[uint32](60),
				SubscriptionIDs: []uint32{1, 268435455}, PayloadFormat: packet.Some[byte](1),
				ResponseTopic: []byte("r"), CorrelationData: []byte{0xff},
				User: []packet.UserPair{{Key: []byte("k"), Value: []byte("v")}}, ContentType: []byte("text"),
				Forward: []byte("\x01\x01\x08" + str("r") + "\x09" + str("\xff") + user("k", "v") + "\x03" + str("text")),
			}, Payload: []byte("x")},
			Bytes: wire(0x30, str("a"), props("\x23\x00\x01", "\x02\x00\x00\x00\x3c", "\x0b\x01", "\x0b\xff\xff\xff\x7f",
				"\x01\x01", "\x08", str("r"), "\x09", str("\xff"), user("k", "v"), "\x03", str("text")), "x"),
		},
		{
			Name: "PUBLISH of 5.0 with empty properties", Version: packet.V5,
			Packet: &packet.Publish{Topic: []byte("a"), PublishProperties: packet.PublishProperties{
				CorrelationData: []byte{}, ContentType: []byte{}, Forward: []byte("\x03\x00\x00\x09\x00\x00")},
				Payload: []byte{}},
			Bytes: wire(0x30, str("a"), props("\x03", str(""), "\x09", str(""))),
		},
		{
			Name: "PUBLISH of 5.0 with user properties in their order", Version: packet.V5, // [MQTT-3.3.2-18]
			Packet: &packet.Publish{Topic: []byte("a"), PublishProperties: packet.PublishProperties{
				User:    []packet.UserPair{{Key: []byte("k"), Value: []byte("v")}, {Key: []byte{}, Value: []byte{}}},
				Forward: []byte(forward)}, Payload: []byte{}},
			Bytes: wire(0x30, str("a"), props(forward)),
		},
	}
}

func publishRefusals() []Refusal {
	const mal, proto, topic = packet.MalformedPacket, packet.ProtocolError, packet.TopicNameInvalid
	v4, v5 := packet.V311, packet.V5
	return []Refusal{
		{"PUBLISH with QoS 3", v4, wire(0x36, str("a"), "\x00\x01"), mal, "MQTT-3.3.1-4"},
		{"PUBLISH with QoS 3, DUP and RETAIN", v5, wire(0x3f, str("a"), "\x00\x01", props()), mal, "MQTT-3.3.1-4"},
		{"PUBLISH with DUP and QoS 0", v4, wire(0x38, str("a")), mal, "MQTT-3.3.1-2"},
		{"PUBLISH of 5.0 with DUP, RETAIN and QoS 0", v5, wire(0x39, str("a"), props()), mal, "MQTT-3.3.1-2"},
		{"PUBLISH with packet identifier 0", v4, wire(0x32, str("a"), "\x00\x00x"), proto, "MQTT-2.2.1-3"}, // [3.1.1: MQTT-2.3.1-1]
		{"PUBLISH of 5.0 with packet identifier 0", v5, wire(0x34, str("a"), "\x00\x00", props()), proto, "MQTT-2.2.1-3"},
		{"PUBLISH without a packet identifier", v4, wire(0x32, str("a"), "\x01"), mal, "2.1.4"},
		{"PUBLISH without a body", v4, wire(0x30), mal, "2.1.4"},
		{"PUBLISH with a topic past its end", v4, wire(0x30, "\x00\x05abcd"), mal, "2.1.4"},
		{"PUBLISH with an empty topic", v4, wire(0x30, str(""), "x"), proto, "MQTT-4.7.3-1"},
		{"PUBLISH of 5.0 with an empty topic and no alias", v5, wire(0x30, str(""), props(), "x"), proto, "MQTT-4.7.3-1"},
		{"PUBLISH to #", v4, wire(0x30, str("#")), topic, "MQTT-3.3.2-2"},
		{"PUBLISH to a +", v4, wire(0x30, str("a/+/bcdefghij")), topic, "MQTT-3.3.2-2"},
		{"PUBLISH with a wildcard at the end of a long topic", v4, wire(0x30, str("0123456789abc/#")), topic, "MQTT-3.3.2-2"},
		{"PUBLISH with a wildcard in a topic outside ASCII", v4, wire(0x30, str("Küche+")), topic, "MQTT-3.3.2-2"},
		{"PUBLISH with U+0000 in the topic", v4, wire(0x30, str("a\x00")), mal, "MQTT-1.5.4-1"},
		{"PUBLISH with U+0000 in a long topic", v4, wire(0x30, str("01234567\x00abcdefgh")), mal, "MQTT-1.5.4-1"},
		{"PUBLISH with a surrogate in the topic", v4, wire(0x30, str("\xed\xbf\xbf")), mal, "MQTT-1.5.4-1"}, // [MQTT-3.3.2-1]
		{"PUBLISH with a cut character in the topic", v5, wire(0x30, str("0123456789\xe2\x82"), props()), mal, "MQTT-1.5.4-1"},
		{"PUBLISH of 5.0 without Property Length", v5, wire(0x30, str("a")), mal, "2.1.4"},
		{"PUBLISH with a Property Length past its end", v5, wire(0x30, str("a"), "\x05\x01"), mal, "2.1.4"},
		{"PUBLISH with a Property Length longer than needed", v5, wire(0x30, str("a"), "\x80\x00"), mal, "MQTT-1.5.5-1"},
	}
}

func publishPropertyRefusals() []Refusal {
	const mal, proto = packet.MalformedPacket, packet.ProtocolError
	list := []struct {
		name   string
		props  string
		code   packet.Code
		clause string
	}{
		{"Topic Alias 0", "\x23\x00\x00", packet.TopicAliasInvalid, "MQTT-3.3.2-8"},
		{"Topic Alias twice", "\x23\x00\x01\x23\x00\x01", proto, "2.2.2.2"},
		{"Message Expiry Interval twice", "\x02\x00\x00\x00\x01\x02\x00\x00\x00\x01", proto, "2.2.2.2"},
		{"Payload Format Indicator 2", "\x01\x02", proto, "2.2.2.2"},
		{"Payload Format Indicator twice", "\x01\x01\x01\x01", proto, "2.2.2.2"},
		{"Response Topic with a wildcard", "\x08" + str("a/#"), mal, "MQTT-3.3.2-14"},
		{"empty Response Topic", "\x08" + str(""), proto, "MQTT-4.7.3-1"},
		{"bad UTF-8 in the Response Topic", "\x08" + str("\xff"), mal, "MQTT-1.5.4-1"}, // [MQTT-3.3.2-13]
		{"Correlation Data twice", "\x09" + str("") + "\x09" + str(""), proto, "2.2.2.2"},
		{"bad UTF-8 in the Content Type", "\x03" + str("\x80"), mal, "MQTT-1.5.4-1"},         // [MQTT-3.3.2-19]
		{"bad UTF-8 in the name of a user property", user("\xc3", "v"), mal, "MQTT-1.5.4-1"}, // [MQTT-1.5.7-1]
		{"a user property without a value", "\x26" + str("k"), mal, "2.1.4"},
		{"Subscription Identifier 0", "\x0b\x00", proto, "3.8.2.1.2"},
		{"Subscription Identifier of five bytes", "\x0b\x80\x80\x80\x80\x01", mal, "1.5.5"},
		{"a property of CONNECT", "\x21\x00\x01", mal, "2.2.2.2"},
		{"property identifier 0", "\x00", mal, "2.2.2.2"},
	}
	var all []Refusal
	for _, l := range list {
		all = append(all, Refusal{"PUBLISH with " + l.name, packet.V5, wire(0x30, str("a"), props(l.props), "x"), l.code, l.clause})
	}
	return all
}
