package main

import (
	"slices"
	"strings"
	"time"
)

// What CONNECT may be, before any session matters.
var connectCases = []test{
	{"the first packet is CONNECT", "MQTT-3.1.0-1", both, func(p *play) {
		c := p.dial()
		c.send("\xc0\x00")
		c.refused()
	}},
	{"a second CONNECT ends the connection", "MQTT-3.1.0-2", both, func(p *play) {
		c := p.open()
		c.send((&hello{id: p.name + "x", clean: true}).bytes(p.v))
		c.closed(0x82)
	}},
	{"one CONNACK, before anything else", "MQTT-3.2.0-2", both, func(p *play) { p.open().quiet() }},
	{"another protocol name", "MQTT-3.1.2-1", both, func(p *play) {
		c := p.dial()
		c.send(packet(0x10, str("HTTP"), string([]byte{p.v, 2}), u16(0), ifV5(p.v, counted()), str("a")))
		c.refused(1, 0x84)
	}},
	{"a version from the future", "MQTT-3.1.2-2", both, func(p *play) {
		c := p.dial()
		c.send(packet(0x10, str("MQTT"), "\x09\x02", u16(0), ifV5(p.v, counted()), str("a")))
		c.refused(1, 0x84)
	}},
	{"return code 1 for a level that does not exist", "3.1.1: MQTT-3.1.2-2", only4, func(p *play) {
		c := p.dial()
		c.send(packet(0x10, str("MQTT"), "\x07\x02", u16(0), str("a")))
		c.want("\x20\x02\x00\x01")
		c.refused()
	}},
	{"nothing behind a refused CONNECT is processed", "MQTT-3.1.4-6", both, func(p *play) {
		c := p.dial()
		c.send(packet(0x10, str("MQTT"), "\x09\x02", u16(0), str("a")) + "\xc0\x00\xc0\x00")
		c.refused(1, 0x84)
	}},
	bad("the reserved flag is set", "MQTT-3.1.2-3", 0x03, "c"),
	bad("Will QoS without a Will", "MQTT-3.1.2-11", 0x0a, "c"),
	bad("Will Retain without a Will", "MQTT-3.1.2-13", 0x22, "c"),
	bad("no Client Identifier", "MQTT-3.1.3-3", 0x02),
	bad("no User Name behind its flag", "MQTT-3.1.2-17", 0x82, "c"),
	bad("no Password behind its flag", "MQTT-3.1.2-19", 0xc2, "c", "u"),
	bad("a User Name without its flag", "MQTT-3.1.2-16", 0x02, "c", "u"),
	bad("a Password without its flag", "MQTT-3.1.2-18", 0x82, "c", "u", "p"),
	bad("no Will behind its flag", "MQTT-3.1.2-9", 0x06, "c"),
	bad("ill-formed UTF-8 in the Client Identifier", "MQTT-3.1.3-4", 0x02, "c\xff"),
	bad("a surrogate in the Client Identifier", "MQTT-1.5.4-1", 0x02, "c\xed\xa0\x80"),
	bad("U+0000 in the Client Identifier", "MQTT-1.5.4-2", 0x02, "c\x00"),
	bad("ill-formed UTF-8 in the User Name", "MQTT-3.1.3-12", 0x82, "c", "u\xc0\x80"),
	{"Will QoS 3", "MQTT-3.1.2-12", both, func(p *play) {
		c := p.dial()
		c.send(connect(p.v, 0x1e, 0, "", str(p.name)+ifV5(p.v, counted())+str("w")+str("")))
		c.refused(malformed(p.v)...)
	}},
	{"ill-formed UTF-8 in the Will Topic", "MQTT-3.1.3-11", both, func(p *play) {
		c := p.dial()
		c.send((&hello{id: p.name, clean: true, will: &will{topic: "w\xff"}}).bytes(p.v))
		c.refused(append(malformed(p.v), ifCode(p.v, 0x90)...)...)
	}},
	{"a wildcard in the Will Topic", "MQTT-4.7.0-1", both, func(p *play) {
		c := p.dial()
		c.send((&hello{id: p.name, clean: true, will: &will{topic: "w/#"}}).bytes(p.v))
		c.refused(append(malformed(p.v), ifCode(p.v, 0x90)...)...)
	}},
	{"a password without a user name", "3.1.1: MQTT-3.1.2-22", only4, func(p *play) {
		c := p.dial()
		c.send(connect(p.v, 0x42, 0, "", str(p.name)+str("secret")))
		c.refused()
	}},
	{"a wrong form gets no CONNACK", "3.1.1: MQTT-3.1.4-1", only4, func(p *play) {
		c := p.dial()
		c.send(connect(p.v, 0x02, 0, "", str(p.name)+"behind it"))
		c.refused()
	}},
	{"reserved bits in the fixed header", "MQTT-2.1.3-1", both, func(p *play) {
		c := p.dial()
		c.send("\x11" + (&hello{id: p.name, clean: true}).bytes(p.v)[1:])
		c.refused(malformed(p.v)...)
	}},
	{"a packet longer than it says", "MQTT-3.1.4-1", both, func(p *play) {
		c := p.dial()
		c.send(packet(0x10, str("MQTT"), string([]byte{p.v})))
		c.refused(malformed(p.v)...)
	}},
	{"a Remaining Length of five bytes", "MQTT-1.5.5-1", both, func(p *play) {
		c := p.dial()
		c.send("\x10\xff\xff\xff\xff\x01")
		c.refused(malformed(p.v)...)
	}},
}

// bad is a CONNECT with these flags and fields, which must be refused.
func bad(name, clause string, flags byte, fields ...string) test {
	return test{name, clause, both, func(p *play) {
		c, b := p.dial(), ""
		for _, f := range fields {
			b += str(f)
		}
		c.send(connect(p.v, flags, 0, "", b))
		c.refused(malformed(p.v)...)
	}}
}

// malformed are the codes of CONNACK or DISCONNECT for a packet of a wrong form. 3.1.1 has none.
func malformed(v byte) []byte { return ifCode(v, 0x80, 0x81, 0x82) }

func ifCode(v byte, codes ...byte) []byte {
	if v == v5 {
		return codes
	}
	return nil
}

// What properties CONNECT may have.
var connectPropertyCases = []test{
	badProps("a Receive Maximum of 0", "MQTT-3.1.4-1", "\x21\x00\x00"),
	badProps("a Maximum Packet Size of 0", "MQTT-3.1.4-1", "\x27\x00\x00\x00\x00"),
	badProps("Request Problem Information of 2", "MQTT-3.1.4-1", "\x17\x02"),
	badProps("a property twice", "MQTT-3.1.4-1", "\x21\x00\x05\x21\x00\x05"),
	badProps("a property that does not exist", "MQTT-3.1.4-1", "\x7a\x00"),
	badProps("a property of another packet", "MQTT-3.1.4-1", "\x23\x00\x01"),
	badProps("ill-formed UTF-8 in a User Property", "MQTT-1.5.7-1", "\x26"+str("k")+str("\xff")),
	badProps("Authentication Data without a method", "MQTT-4.13.1-1", "\x16"+str("x")),
	{"a Property Length with more bytes than needed", "MQTT-1.5.5-1", only5, func(p *play) {
		c := p.dial()
		c.send(packet(0x10, str("MQTT"), "\x05\x02\x00\x00\x80\x00", str(p.name)))
		c.refused(malformed(p.v)...)
	}},
	{"no Property Length", "MQTT-2.2.2-1", only5, func(p *play) {
		c := p.dial()
		c.send(packet(0x10, str("MQTT"), "\x05\x02\x00\x00"))
		c.refused(malformed(p.v)...)
	}},
	{"an unknown Authentication Method", "MQTT-4.12.0-1", only5, func(p *play) {
		c := p.dial()
		c.send((&hello{id: p.name, clean: true, props: "\x15" + str("nobody has this")}).bytes(p.v))
		c.refused(0x8c, 0x87)
	}},
	{"AUTH of a client without a method", "MQTT-4.12.0-7", only5, func(p *play) {
		c := p.open()
		c.send(packet(0xf0, "\x19", counted("\x15"+str("m"))))
		c.closed(0x82, 0x8c, 0x81)
	}},
	{"no Authentication Method in CONNACK that was not in CONNECT", "MQTT-4.12.0-6", only5, func(p *play) {
		if _, ok := property(p.open().props, 0x15); ok {
			p.fail("CONNACK has an Authentication Method")
		}
	}},
	{"no Response Information for who did not ask", "MQTT-3.1.2-28", only5, func(p *play) {
		for _, props := range []string{"", "\x19\x00"} {
			c := p.connect(&hello{clean: true, props: props})
			if _, ok := property(c.props, 0x1a); ok {
				p.fail("CONNACK has Response Information")
			}
		}
	}},
}

func badProps(name, clause, props string) test {
	return test{name, clause, only5, func(p *play) {
		c := p.dial()
		c.send((&hello{id: p.name, clean: true, props: props}).bytes(p.v))
		c.refused(malformed(p.v)...)
	}}
}

// Who a client is.
var identifierCases = []test{
	{"23 letters and digits", "MQTT-3.1.3-5", both, func(p *play) {
		const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		for part := range slices.Chunk([]byte(letters), 22) { // and the version, which is played at the same time
			p.connect(&hello{id: string(part) + string('0'+p.v), clean: true}).leave()
		}
	}},
	{"an empty one, with a clean session", "MQTT-3.1.3-6", both, func(p *play) {
		first, second := p.dial(), p.dial()
		ids := ""
		for _, c := range []*conn{first, second} {
			c.send(p.signed(&hello{clean: true}))
			got, body := c.packet()
			if got != 0x20 || len(body) < 2 {
				p.fail("got %02x %x", got, body)
			}
			if body[1] == 2 || body[1] == 0x85 {
				c.refused()
				p.skip("empty Client Identifiers are refused")
			}
			ids += body[2:]
		}
		first.quiet() // the second has not taken it over
	}},
	{"the assigned one is told", "MQTT-3.1.3-7", only5, func(p *play) {
		given := make(map[string]bool)
		for range 2 {
			c := p.dial()
			c.send(p.signed(&hello{clean: true}))
			_, body := c.packet()
			if body[1] == 0x85 {
				p.skip("empty Client Identifiers are refused")
			}
			props, _, _ := cutCounted(body[2:])
			id, ok := property(props, 0x12)
			if body[1] != 0 || !ok || len(id) < 3 || given[id] {
				p.fail("CONNACK %x has no new Assigned Client Identifier", body)
			}
			given[id] = true
		}
	}},
	{"an empty one with clean session 0", "3.1.1: MQTT-3.1.3-8", only4, func(p *play) {
		c := p.dial()
		c.send((&hello{}).bytes(p.v))
		c.want("\x20\x02\x00\x02")
		c.refused()
	}},
	{"the same one again takes over", "MQTT-3.1.4-3", both, func(p *play) {
		first := p.connect(&hello{id: p.name, clean: true})
		second := p.connect(&hello{id: p.name, clean: true})
		first.closed(0x8e)
		second.quiet()
	}},
	{"a takeover with clean start 1 begins anew", "MQTT-3.1.4-4", both, func(p *play) {
		first := p.connect(&hello{id: p.name, clean: true})
		first.subscribe(1, p.topic("t"))
		second := p.connect(&hello{id: p.name, clean: true})
		first.closed(0x8e)
		p.open().publish(message{topic: p.topic("t"), qos: 1})
		second.quiet()
	}},
}

// Being there, and going.
var pingCases = []test{
	{"PINGREQ is answered", "MQTT-3.12.4-1", both, func(p *play) {
		c := p.open()
		c.send("\xc0\x00\xc0\x00")
		c.want("\xd0\x00")
		c.want("\xd0\x00")
	}},
	broken("PINGREQ with a flag", "MQTT-2.1.3-1", func(byte) string { return "\xc1\x00" }),
	broken("PINGREQ with a body", "MQTT-4.13.1-1", func(byte) string { return "\xc0\x01\x00" }),
	broken("packet type 0", "MQTT-4.13.1-1", func(byte) string { return "\x00\x00" }),
	broken("CONNACK from a client", "MQTT-4.13.1-1", func(v byte) string { return packet(0x20, "\x00\x00", ifV5(v, "\x00")) }),
	broken("SUBACK from a client", "MQTT-4.13.1-1", func(v byte) string { return packet(0x90, "\x00\x01", ifV5(v, "\x00"), "\x00") }),
	broken("PINGRESP from a client", "MQTT-4.13.1-1", func(byte) string { return "\xd0\x00" }),
	{"packet type 15", "3.1.1: MQTT-4.8.0-1", only4, func(p *play) {
		c := p.open()
		c.send("\xf0\x00")
		c.closed()
	}},
	broken("DISCONNECT with a flag", "MQTT-3.14.1-1", func(byte) string { return "\xe1\x00" }),
	{"DISCONNECT with a code that it does not have", "MQTT-3.14.2-1", only5, func(p *play) {
		c := p.open()
		c.send("\xe0\x01\x02")
		c.closed(0x81, 0x82)
	}},
	{"DISCONNECT ends the connection", "MQTT-3.14.4-2", both, func(p *play) { p.open().leave() }},
	{"nothing behind DISCONNECT is processed", "MQTT-3.14.4-1", both, func(p *play) {
		c := p.open()
		c.send("\xe0\x00\xc0\x00\xc0\x00")
		c.closed()
	}},
	{"keep-alive of 1 s ends after 1.5", "MQTT-3.1.2-22", both, func(p *play) {
		c := p.connect(&hello{clean: true, keep: 1})
		began := time.Now()
		c.closedWithin(p.s.patience+10*time.Second, 0x8d)
		if d := time.Since(began); d < time.Second {
			p.fail("ended after %v", d)
		}
	}},
	{"packets cut anywhere", "MQTT-4.2-1", both, func(p *play) {
		c := p.dial()
		for _, b := range []byte((&hello{id: p.name, clean: true, user: p.s.user, password: p.s.password}).bytes(p.v)) {
			c.send(string([]byte{b}))
		}
		if first, body := c.packet(); first != 0x20 || body[1] != 0 {
			p.fail("got %02x %x, want a CONNACK of success", first, body)
		}
		c.send(strings.Repeat("\xc0\x00", 100))
		for range 100 {
			c.want("\xd0\x00")
		}
	}},
}

// broken is a packet of an accepted client that ends its connection.
func broken(name, clause string, b func(v byte) string) test {
	return test{name, clause, both, func(p *play) {
		c := p.open()
		c.send(b(p.v))
		c.closed(malformed(p.v)...)
	}}
}
