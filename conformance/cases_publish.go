package main

import "strings"

// The way of a message at each QoS.
var publishCases = []test{
	{"QoS 0 arrives as it was sent", "MQTT-3.3.4-1", both, func(p *play) {
		c := p.open()
		c.subscribe(2, p.topic("t"))
		m := message{topic: p.topic("t"), payload: "\x00\xff text"}
		c.send(m.bytes(p.v))
		c.want(m.bytes(p.v))
		c.quiet()
	}},
	{"QoS 1 is acknowledged", "MQTT-4.3.2-4", both, func(p *play) {
		c := p.open()
		c.send(message{topic: p.topic("t"), qos: 1, id: 0xfffe}.bytes(p.v))
		c.ack(0x40, 0xfffe, 0, 0x10)
		c.quiet()
	}},
	{"QoS 1, the same identifier again is a new message", "MQTT-4.3.2-5", both, func(p *play) {
		c, s := p.open(), p.open()
		s.subscribe(0, p.topic("t"))
		for _, dup := range []bool{false, true} {
			c.send(message{topic: p.topic("t"), payload: "x", qos: 1, id: 7, dup: dup}.bytes(p.v))
			c.ack(0x40, 7, 0, 0x10)
			s.receive(message{topic: p.topic("t"), payload: "x"})
		}
	}},
	{"QoS 2 from beginning to end", "MQTT-4.3.3-8", both, func(p *play) {
		c, s := p.open(), p.open()
		s.subscribe(2, p.topic("t"))
		c.publish(message{topic: p.topic("t"), payload: "x", qos: 2})
		s.accept(message{topic: p.topic("t"), payload: "x", qos: 2})
		c.quiet()
		s.quiet()
	}},
	{"QoS 2, a repeated PUBLISH is not delivered again", "MQTT-4.3.3-10", both, func(p *play) {
		c, s := p.open(), p.open()
		s.subscribe(0, p.topic("t"))
		for _, dup := range []bool{false, true, true} {
			c.send(message{topic: p.topic("t"), payload: "x", qos: 2, id: 7, dup: dup}.bytes(p.v))
			c.ack(0x50, 7, 0, 0x10)
		}
		c.send(ack(0x62, 7))
		c.ack(0x70, 7, 0)
		s.receive(message{topic: p.topic("t"), payload: "x"})
		s.quiet()
	}},
	{"QoS 2, after PUBCOMP the identifier is a new message", "MQTT-4.3.3-12", both, func(p *play) {
		c, s := p.open(), p.open()
		s.subscribe(0, p.topic("t"))
		for range 2 {
			c.next = 0
			c.publish(message{topic: p.topic("t"), payload: "x", qos: 2})
			s.receive(message{topic: p.topic("t"), payload: "x"})
		}
	}},
	{"PUBREL that nothing belongs to is answered", "MQTT-4.3.3-11", both, func(p *play) {
		c := p.open()
		c.send(ack(0x62, 99))
		c.ack(0x70, 99, 0, 0x92)
		c.quiet()
	}},
	{"a stray PUBACK does no harm", "MQTT-4.3.2-3", both, func(p *play) {
		c := p.open()
		c.send(ack(0x40, 99))
		c.quiet()
	}},
	{"every combination of published and granted QoS", "MQTT-3.8.4-8", both, func(p *play) {
		c := p.open()
		for granted := range byte(3) {
			s := p.open()
			s.subscribe(granted, p.topic("t"))
			for qos := range byte(3) {
				c.publish(message{topic: p.topic("t"), payload: "x", qos: qos})
				s.accept(message{topic: p.topic("t"), payload: "x", qos: min(qos, granted)})
			}
			s.leave()
		}
	}},
	{"messages of one topic keep their order", "MQTT-4.6.0-5", both, func(p *play) {
		c, s := p.open(), p.open()
		s.subscribe(2, p.topic("#"))
		for qos := range byte(3) {
			for i := range 20 {
				c.publish(message{topic: p.topic("t"), payload: string(rune('a' + i)), qos: qos})
			}
			for i := range 20 {
				s.accept(message{topic: p.topic("t"), payload: string(rune('a' + i)), qos: qos})
			}
		}
	}},
	{"DUP is not passed on", "MQTT-3.3.1-3", both, func(p *play) {
		c, s := p.open(), p.open()
		s.subscribe(2, p.topic("t"))
		c.publish(message{topic: p.topic("t"), qos: 2, dup: true})
		s.accept(message{topic: p.topic("t"), qos: 2})
	}},
	{"an empty payload", "MQTT-3.3.4-1", both, func(p *play) {
		c := p.open()
		c.subscribe(0, p.topic("t"))
		c.send(message{topic: p.topic("t")}.bytes(p.v))
		c.want(message{topic: p.topic("t")}.bytes(p.v))
	}},
	{"a payload with a length of three bytes", "MQTT-3.3.4-1", both, func(p *play) {
		c := p.open()
		c.subscribe(0, p.topic("t"))
		m := message{topic: p.topic("t"), payload: strings.Repeat("0123456789", 7000)}
		c.send(m.bytes(p.v))
		c.want(m.bytes(p.v))
	}},
	{"letters of all kinds, and U+FEFF, stay", "MQTT-1.5.4-3", both, func(p *play) {
		c := p.open()
		c.subscribe(0, p.topic("#"))
		for _, name := range []string{"\ufeffa\ufeff", "ä/a\u0308", "水/🌡", " A  b ", "//"} {
			m := message{topic: p.topic(name), payload: name}
			c.send(m.bytes(p.v))
			c.want(m.bytes(p.v))
		}
	}},
	{"a publisher gets its own message", "MQTT-3.3.2-3", both, func(p *play) {
		c := p.open()
		c.subscribe(1, p.topic("+"))
		c.send(message{topic: p.topic("other/level")}.bytes(p.v))
		c.send(message{topic: p.topic("own")}.bytes(p.v))
		c.receive(message{topic: p.topic("own")})
	}},
	broken("QoS 3", "MQTT-3.3.1-4", func(v byte) string { return packet(0x36, str("a"), u16(1), ifV5(v, "\x00")) }),
	broken("DUP with QoS 0", "MQTT-3.3.1-2", func(v byte) string { return packet(0x38, str("a"), ifV5(v, "\x00")) }),
	badTopic("a # in the topic", "MQTT-3.3.2-2", "a/#"),
	badTopic("a + in the topic", "MQTT-3.3.2-2", "a/+/b"),
	badTopic("U+0000 in the topic", "MQTT-4.7.3-2", "a\x00"),
	badTopic("ill-formed UTF-8 in the topic", "MQTT-3.3.2-1", "a\xff"),
	badTopic("a surrogate in the topic", "MQTT-1.5.4-1", "\xed\xa0\x80"),
	badTopic("an empty topic", "MQTT-4.7.3-1", ""),
	broken("a topic that is longer than its packet", "MQTT-4.13.1-1", func(byte) string { return packet(0x30, "\x00\x09abc") }),
	broken("packet identifier 0", "MQTT-2.2.1-3", func(v byte) string { return packet(0x32, str("a"), u16(0), ifV5(v, "\x00")) }),
	broken("no packet identifier", "MQTT-4.13.1-1", func(byte) string { return packet(0x32, str("a")) }),
	broken("PUBREL with other flags", "MQTT-3.6.1-1", func(byte) string { return "\x60\x02\x00\x01" }),
	broken("PUBACK with a flag", "MQTT-2.1.3-1", func(byte) string { return "\x41\x02\x00\x01" }),
	broken("PUBACK without an identifier", "MQTT-4.13.1-1", func(byte) string { return "\x40\x00" }),
}

// badTopic is a PUBLISH to a name that ends the connection.
func badTopic(name, clause, topic string) test {
	return test{name, clause, both, func(p *play) {
		c := p.open()
		c.send(message{topic: topic}.bytes(p.v))
		c.closed(append(malformed(p.v), ifCode(p.v, 0x90)...)...)
	}}
}

// What 5.0 adds to PUBLISH.
var propertyCases = []test{
	{"the properties of a message are passed on", "MQTT-3.3.2-17", only5, func(p *play) {
		c := p.open()
		c.subscribe(0, p.topic("t"))
		values := map[byte]string{0x01: "\x01", 0x03: str("text/plain"), 0x08: str("reply/here"), 0x09: str("\x00\xff")}
		users := user("z", "1") + user("a", "2") + user("z", "1")
		props := users
		for id, value := range values {
			props += string([]byte{id}) + value
		}
		c.send(message{topic: p.topic("t"), payload: "x", props: props}.bytes(p.v))
		m := c.receive(message{topic: p.topic("t"), payload: "x"})
		for id, value := range values { // [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-20]
			if got, _ := property(m.props, id); got != value {
				p.fail("property %02x is %x, want %x", id, got, value)
			}
		}
		if !strings.Contains(m.props, users) || len(m.props) != len(props) { // [MQTT-3.3.2-18]
			p.fail("properties %x, want %x in any order but that of the User Properties", m.props, props)
		}
	}},
	{"what waits becomes less worth waiting for", "MQTT-3.3.2-6", only5, func(p *play) {
		c := p.open()
		c.subscribe(0, p.topic("t"))
		c.send(message{topic: p.topic("t"), props: "\x02" + u32(100)}.bytes(p.v))
		m := c.receive(message{topic: p.topic("t")})
		if left, _ := property(m.props, 0x02); left != u32(100) && left != u32(99) {
			p.fail("Message Expiry Interval is %x", left)
		}
	}},
	{"an alias stands for its topic", "MQTT-3.3.2-12", only5, func(p *play) {
		c := p.open()
		most := c.number(0x22, 0)
		if most == 0 {
			p.skip("no Topic Aliases are taken")
		}
		alias := "\x23" + u16(uint16(most))
		c.subscribe(0, p.topic("#"))
		for _, m := range []struct{ topic, resolved string }{{p.topic("1"), "1"}, {"", "1"}, {p.topic("2"), "2"}, {"", "2"}} {
			c.send(message{topic: m.topic, payload: "x", props: alias}.bytes(p.v))
			got := c.receive(message{topic: p.topic(m.resolved), payload: "x"})
			if _, ok := property(got.props, 0x23); ok { // [MQTT-3.1.2-27]
				p.fail("an alias was sent to a client that takes none")
			}
		}
	}},
	{"an alias ends with its connection", "MQTT-3.3.2-7", only5, func(p *play) {
		c := p.connect(&hello{id: p.name, clean: true})
		if c.number(0x22, 0) == 0 {
			p.skip("no Topic Aliases are taken")
		}
		c.send(message{topic: p.topic("t"), props: "\x23\x00\x01"}.bytes(p.v))
		c.leave()
		c = p.connect(&hello{id: p.name})
		c.send(message{props: "\x23\x00\x01"}.bytes(p.v))
		c.closed(0x82, 0x94)
	}},
	{"aliases up to what the client takes", "MQTT-3.1.2-26", only5, func(p *play) {
		s := p.connect(&hello{clean: true, props: "\x22\x00\x02"})
		s.subscribe(0, p.topic("#"))
		c, topics := p.open(), make(map[string]string)
		for _, name := range []string{"1", "2", "3", "1", "2", "3"} {
			c.send(message{topic: p.topic(name), payload: name}.bytes(p.v))
			m := s.message()
			if alias, ok := property(m.props, 0x23); ok {
				if alias != u16(1) && alias != u16(2) {
					p.fail("alias %x", alias)
				}
				if m.topic == "" {
					m.topic = topics[alias]
				}
				topics[alias] = m.topic
			}
			if m.topic != p.topic(name) || m.payload != name {
				p.fail("got %v, want topic %s", m, name)
			}
		}
	}},
	badPublish("alias 0", "MQTT-3.3.2-8", "a", "\x23\x00\x00"),
	{"an alias above what the broker takes", "MQTT-3.3.2-9", only5, func(p *play) {
		c := p.open()
		most := c.number(0x22, 0)
		if most == 65535 {
			p.skip("all Topic Aliases are taken")
		}
		c.send(message{topic: "a", props: "\x23" + u16(uint16(most)+1)}.bytes(p.v))
		c.closed(0x94, 0x82)
	}},
	badPublish("an alias that was not set", "MQTT-3.3.2-7", "", "\x23\x00\x01"),
	badPublish("an alias twice", "MQTT-4.13.1-1", "a", "\x23\x00\x01\x23\x00\x01"),
	badPublish("a Subscription Identifier from a client", "MQTT-3.3.4-6", "a", "\x0b\x01"),
	badPublish("a wildcard in the Response Topic", "MQTT-3.3.2-14", "a", "\x08"+str("a/#")),
	badPublish("ill-formed UTF-8 in the Response Topic", "MQTT-3.3.2-13", "a", "\x08"+str("\xff")),
	badPublish("ill-formed UTF-8 in the Content Type", "MQTT-3.3.2-19", "a", "\x03"+str("\xff")),
	badPublish("Payload Format Indicator 2", "MQTT-4.13.1-1", "a", "\x01\x02"),
	badPublish("a property of CONNECT", "MQTT-4.13.1-1", "a", "\x21\x00\x01"),
	badPublish("a property that does not exist", "MQTT-4.13.1-1", "a", "\x7a\x00"),
	{"no more messages under way than the client takes", "MQTT-3.3.4-9", only5, func(p *play) {
		s := p.connect(&hello{clean: true, props: "\x21\x00\x02"})
		s.subscribe(2, p.topic("t"))
		c := p.open()
		for _, payload := range []string{"1", "2", "3", "4"} {
			c.publish(message{topic: p.topic("t"), payload: payload, qos: 1})
		}
		first := s.receive(message{topic: p.topic("t"), payload: "1", qos: 1})
		s.receive(message{topic: p.topic("t"), payload: "2", qos: 1})
		s.subscribe(0, p.topic("other")) // [MQTT-3.3.4-10]
		s.quiet()
		s.send(ack(0x40, first.id))
		s.receive(message{topic: p.topic("t"), payload: "3", qos: 1})
		s.quiet()
	}},
	{"a message that is too large for the client counts as sent", "MQTT-3.1.2-25", only5, func(p *play) {
		s := p.connect(&hello{clean: true, props: "\x27" + u32(100) + "\x21\x00\x01"})
		s.subscribe(1, p.topic("t"))
		c := p.open()
		for _, payload := range []string{strings.Repeat("x", 100), "small"} { // [MQTT-3.1.2-24]
			c.publish(message{topic: p.topic("t"), payload: payload, qos: 1})
			c.publish(message{topic: p.topic("t"), payload: payload})
		}
		got := s.accept(message{topic: p.topic("t"), payload: "small", qos: s.peek()})
		s.accept(message{topic: p.topic("t"), payload: "small", qos: 1 - got.qos})
		s.quiet()
	}},
}

// badPublish is a PUBLISH with these properties, which ends the connection.
func badPublish(name, clause, topic, props string) test {
	return test{name, clause, only5, func(p *play) {
		c := p.open()
		c.send(message{topic: topic, props: props}.bytes(p.v))
		c.closed(0x81, 0x82, 0x90, 0x94)
	}}
}
