package main

import "time"

// SUBSCRIBE and UNSUBSCRIBE.
var subscribeCases = []test{
	{"SUBACK has the identifier, and the codes in their order", "MQTT-3.8.4-2", both, func(p *play) {
		c := p.open()
		c.send(subscribe(p.v, 0x0102, "", filter(p.topic("a"), 0), filter(p.topic("b"), 2), filter(p.topic("c"), 1)))
		c.want(packet(0x90, "\x01\x02", ifV5(p.v, "\x00"), "\x00\x02\x01")) // [MQTT-3.9.3-1] [MQTT-3.8.4-6]
	}},
	{"the same filter again replaces the subscription", "MQTT-3.8.4-3", both, func(p *play) {
		c, from := p.open(), p.open()
		c.subscribe(2, p.topic("t"))
		c.subscribe(0, p.topic("t"))
		from.publish(message{topic: p.topic("t"), payload: "x", qos: 2})
		c.receive(message{topic: p.topic("t"), payload: "x"})
		c.quiet()
	}},
	{"overlapping subscriptions deliver at the highest QoS", "MQTT-3.3.4-2", both, func(p *play) {
		c, from := p.open(), p.open()
		c.subscribe(0, p.topic("#"))
		c.subscribe(2, p.topic("+"))
		c.subscribe(1, p.topic("t"))
		from.publish(message{topic: p.topic("t"), payload: "x", qos: 2})
		for c.message().qos != 2 { // one copy, or several
		}
	}},
	{"what matches a filter, and what does not", "MQTT-4.7.1-1", both, func(p *play) {
		for _, tc := range []struct {
			filter   string
			yes, not []string
		}{
			{"/#", []string{"", "/a", "/a/b", "/"}, []string{"x"}},
			{"/+", []string{"/a", "/"}, []string{"", "/a/b", "//"}},
			{"/+/+", []string{"/a/b", "//"}, []string{"/a"}},
			{"/+/b/#", []string{"/a/b", "//b", "/a/b/c/d"}, []string{"/a/c"}},
			{"/a", []string{"/a"}, []string{"/A", "/a/", "/aa"}},
		} {
			c := p.open()
			c.subscribe(0, p.name+tc.filter)
			for _, name := range tc.not {
				c.send(message{topic: p.name + name}.bytes(p.v))
			}
			for _, name := range tc.yes {
				c.send(message{topic: p.name + name, payload: "x"}.bytes(p.v))
				c.receive(message{topic: p.name + name, payload: "x"})
			}
			c.quiet()
			c.leave()
		}
	}},
	{"a leading wildcard does not match a leading $", "MQTT-4.7.2-1", both, func(p *play) {
		c, from := p.open(), p.open()
		c.subscribe(0, "+/"+p.topic("t"))
		from.send(message{topic: "$x/" + p.topic("t"), payload: "hidden"}.bytes(p.v))
		from.send(message{topic: "x/" + p.topic("t"), payload: "seen"}.bytes(p.v))
		c.receive(message{topic: "x/" + p.topic("t"), payload: "seen"})
	}},
	{"names are compared as they are", "MQTT-4.7.3-4", both, func(p *play) {
		c := p.open()
		c.subscribe(0, p.topic("é"))
		c.send(message{topic: p.topic("e\u0301"), payload: "other"}.bytes(p.v))
		c.send(message{topic: p.topic("É"), payload: "other"}.bytes(p.v))
		c.send(message{topic: p.topic("é"), payload: "same"}.bytes(p.v))
		c.receive(message{topic: p.topic("é"), payload: "same"})
	}},
	broken("SUBSCRIBE with other flags", "MQTT-3.8.1-1", func(v byte) string { return "\x80" + subscribe(v, 1, "", filter("a", 0))[1:] }),
	broken("SUBSCRIBE without a filter", "MQTT-3.8.3-2", func(v byte) string { return subscribe(v, 1, "") }),
	broken("SUBSCRIBE with identifier 0", "MQTT-2.2.1-3", func(v byte) string { return subscribe(v, 0, "", filter("a", 0)) }),
	broken("SUBSCRIBE with QoS 3", "3.1.1: MQTT-3.8.3-4", func(v byte) string { return subscribe(v, 1, "", filter("a", 3)) }),
	broken("SUBSCRIBE with reserved bits", "MQTT-3.8.3-5", func(v byte) string { return subscribe(v, 1, "", filter("a", 0xc0)) }),
	broken("SUBSCRIBE without options", "MQTT-4.13.1-1", func(v byte) string { return subscribe(v, 1, "", str("a")) }),
	broken("ill-formed UTF-8 in a filter", "MQTT-3.8.3-1", func(v byte) string { return subscribe(v, 1, "", filter("a\xff", 0)) }),
	badFilter("# with something before it", "MQTT-4.7.1-1", "a#"),
	badFilter("# before the end", "MQTT-4.7.1-1", "a/#/b"),
	badFilter("+ with something before it", "MQTT-4.7.1-2", "a+/b"),
	badFilter("+ with something behind it", "MQTT-4.7.1-2", "a/+b"),
	badFilter("an empty filter", "MQTT-4.7.3-1", ""),
	{"UNSUBACK has the identifier", "MQTT-3.10.4-5", both, func(p *play) {
		c := p.open()
		c.subscribe(0, p.topic("a"))
		c.send(unsubscribe(p.v, 0x0304, p.topic("none"), p.topic("a")))
		c.want(packet(0xb0, "\x03\x04", ifV5(p.v, "\x00\x11\x00"))) // [MQTT-3.11.3-1]
	}},
	{"UNSUBSCRIBE ends the subscription", "MQTT-3.10.4-2", both, func(p *play) {
		c := p.open()
		c.subscribe(1, p.topic("a"), p.topic("b"), p.topic("c"))
		c.unsubscribe(p.topic("a"), p.topic("c")) // [MQTT-3.10.4-6]
		for _, name := range []string{"a", "b", "c"} {
			c.send(message{topic: p.topic(name), payload: name}.bytes(p.v))
		}
		c.receive(message{topic: p.topic("b"), payload: "b"})
		c.quiet()
	}},
	{"UNSUBSCRIBE compares letter by letter", "MQTT-3.10.4-1", both, func(p *play) {
		c := p.open()
		c.subscribe(0, p.topic("a/b"))
		c.unsubscribe(p.topic("a/+"), p.topic("#"), p.topic("A/b"))
		c.send(message{topic: p.topic("a/b"), payload: "x"}.bytes(p.v))
		c.receive(message{topic: p.topic("a/b"), payload: "x"})
	}},
	broken("UNSUBSCRIBE with other flags", "MQTT-3.10.1-1", func(v byte) string { return "\xa0" + unsubscribe(v, 1, "a")[1:] }),
	broken("UNSUBSCRIBE without a filter", "MQTT-3.10.3-2", func(v byte) string { return unsubscribe(v, 1) }),
	broken("ill-formed UTF-8 in UNSUBSCRIBE", "MQTT-3.10.3-1", func(v byte) string { return unsubscribe(v, 1, "a\xff") }),
}

// unsubscribe ends subscriptions.
func (c *conn) unsubscribe(filters ...string) {
	id := c.id()
	c.send(unsubscribe(c.v, id, filters...))
	first, body := c.packet()
	if first != 0xb0 || len(body) < 2 || body[:2] != u16(id) {
		c.p.fail("%s: got %02x %x, want an UNSUBACK", c.name, first, body)
	}
}

// badFilter is refused in SUBACK, or ends the connection.
func badFilter(name, clause, f string) test {
	return test{name, clause, both, func(p *play) {
		c := p.open()
		c.send(subscribe(p.v, 1, "", filter(f, 0)))
		first, body, err := c.read(p.s.patience)
		if err == nil && first == 0x90 {
			if codes := c.codes(body); codes != "\x80" && (p.v == v4 || codes != "\x8f") {
				p.fail("got the codes %x", codes)
			}
			return
		}
		if err == nil {
			c.buf = append([]byte(packet(first, body)), c.buf...)
			c.closed(append(malformed(p.v), ifCode(p.v, 0x8f)...)...)
		}
	}}
}

// What 5.0 adds to SUBSCRIBE.
var optionCases = []test{
	{"No Local", "MQTT-3.8.3-3", only5, func(p *play) {
		c := p.open()
		c.subscribe(0x05, p.topic("t"))
		c.publish(message{topic: p.topic("t"), payload: "own", qos: 1})
		p.open().publish(message{topic: p.topic("t"), payload: "of another", qos: 1})
		c.accept(message{topic: p.topic("t"), payload: "of another", qos: 1})
	}},
	{"No Local on a shared subscription", "MQTT-3.8.3-4", only5, func(p *play) {
		c := p.open()
		c.send(subscribe(p.v, 1, "", filter("$share/g/"+p.topic("t"), 4)))
		c.closed(0x82)
	}},
	{"Retain Handling 3", "MQTT-4.13.1-1", only5, func(p *play) {
		c := p.open()
		c.send(subscribe(p.v, 1, "", filter("a", 0x30)))
		c.closed(0x81, 0x82)
	}},
	{"the Subscription Identifier comes with the message", "MQTT-3.3.4-3", only5, func(p *play) {
		c := p.identified()
		c.send(subscribe(p.v, c.id(), "\x0b"+varint(268435455), filter(p.topic("t"), 0)))
		c.suback(c.next, "\x00")
		c.send(message{topic: p.topic("t"), payload: "x"}.bytes(p.v))
		m := c.receive(message{topic: p.topic("t"), payload: "x"})
		if m.props != "\x0b"+varint(268435455) {
			p.fail("properties %x", m.props)
		}
	}},
	{"Subscription Identifier 0", "MQTT-4.13.1-1", only5, func(p *play) {
		c := p.open()
		c.send(subscribe(p.v, 1, "\x0b\x00", filter("a", 0)))
		c.closed(0x82, 0x81)
	}},
	{"a Subscription Identifier in UNSUBSCRIBE", "MQTT-4.13.1-1", only5, func(p *play) {
		c := p.open()
		c.send(packet(0xa2, u16(1), counted("\x0b\x01"), str("a")))
		c.closed(0x81, 0x82)
	}},
	{"answers without a Reason String for who wants none", "MQTT-3.1.2-29", only5, func(p *play) {
		c := p.connect(&hello{clean: true, props: "\x17\x00"})
		c.send(unsubscribe(p.v, 1, p.topic("none")))
		c.want(packet(0xb0, u16(1), "\x00\x11")) // [MQTT-3.11.2-1] [MQTT-3.11.2-2]
		c.send(subscribe(p.v, 2, "", filter(p.topic("t"), 1)))
		c.want(packet(0x90, u16(2), "\x00\x01")) // [MQTT-3.9.2-1] [MQTT-3.9.2-2]
		c.send(ack(0x62, 9))
		first, body := c.packet()
		if len(body) > 3 && body[3] != 0 { // [MQTT-3.7.2-2] [MQTT-3.7.2-3]
			p.fail("got %02x %x, want no properties", first, body)
		}
	}},
	{"a message to a shared subscription goes to one member", "MQTT-4.8.2-1", only5, func(p *play) {
		a, b, from := p.open(), p.open(), p.open()
		for _, c := range []*conn{a, b} {
			c.subscribe(1, "$share/g/"+p.topic("t"))
		}
		const n = 20
		for range n {
			from.publish(message{topic: p.topic("t"), payload: "x", qos: 1})
		}
		got := 0
		for began := time.Now(); got < n && time.Since(began) < p.s.patience; {
			for _, c := range []*conn{a, b} {
				if first, body, err := c.read(p.s.quiet / 10); err == nil {
					m, ok := parse(first, body, p.v)
					if !ok {
						p.fail("got %02x %x", first, body)
					}
					c.send(ack(0x40, m.id))
					got++
				}
			}
		}
		if got != n {
			p.fail("of %d messages %d arrived", n, got)
		}
		a.quiet()
		b.quiet()
	}},
	{"groups are apart from each other, and from others", "MQTT-4.8.2-2", only5, func(p *play) {
		var all []*conn
		for _, f := range []string{"$share/g/" + p.topic("t"), "$share/h/" + p.topic("t"), p.topic("t")} {
			c := p.open()
			c.subscribe(0, f)
			all = append(all, c)
		}
		p.open().publish(message{topic: p.topic("t"), payload: "x", qos: 1})
		for _, c := range all {
			c.receive(message{topic: p.topic("t"), payload: "x"})
		}
	}},
	badShare("no ShareName", "$share//a"),
	badShare("no filter behind the ShareName", "$share/g"),
	badShare("a wildcard in the ShareName", "$share/g+/a"),
}

// identified is a client of a broker that takes Subscription Identifiers.
func (p *play) identified() *conn {
	c := p.open()
	if c.number(0x29, 1) == 0 {
		p.skip("no Subscription Identifiers")
	}
	return c
}

func badShare(name, f string) test {
	t := badFilter(name, "MQTT-4.8.2-2", f)
	t.versions = only5
	return t
}
