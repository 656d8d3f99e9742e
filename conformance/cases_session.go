package main

import "time"

// keeping is a CONNECT whose session outlives its connection.
func (p *play) keeping(clean bool) *hello {
	return &hello{id: p.name + "s", clean: clean, props: "\x11" + u32(600)}
}

// What outlives a connection.
var sessionCases = []test{
	{"Session Present says whether there was one", "MQTT-3.2.2-3", both, func(p *play) {
		for _, want := range []bool{false, true} {
			c := p.connect(p.keeping(false))
			if c.present != want {
				p.fail("Session Present is %v", c.present)
			}
			c.leave()
		}
	}},
	{"a clean start begins anew", "MQTT-3.1.2-4", both, func(p *play) {
		c := p.connect(p.keeping(false))
		c.subscribe(1, p.topic("t"))
		c.leave()
		c = p.connect(p.keeping(true))
		if c.present { // [MQTT-3.2.2-2]
			p.fail("Session Present")
		}
		p.open().publish(message{topic: p.topic("t"), qos: 1})
		c.quiet()
	}},
	{"a clean session ends with its connection", "3.1.1: MQTT-3.1.2-6", only4, func(p *play) {
		p.connect(p.keeping(true)).leave()
		if p.connect(p.keeping(false)).present {
			p.fail("Session Present")
		}
	}},
	{"a Session Expiry Interval of 0 ends with its connection", "MQTT-4.1.0-2", only5, func(p *play) {
		p.connect(&hello{id: p.name, clean: true}).leave()
		if p.connect(&hello{id: p.name}).present {
			p.fail("Session Present")
		}
	}},
	{"a session ends when its time is over", "MQTT-4.1.0-2", only5, func(p *play) {
		p.connect(&hello{id: p.name, clean: true, props: "\x11" + u32(1)}).leave()
		p.wait(3 * time.Second)
		if p.connect(&hello{id: p.name}).present {
			p.fail("Session Present")
		}
	}},
	{"DISCONNECT can change its time", "MQTT-4.1.0-2", only5, func(p *play) {
		c := p.connect(p.keeping(true))
		c.send(packet(0xe0, "\x00", counted("\x11"+u32(0))))
		c.closed()
		if p.connect(p.keeping(false)).present {
			p.fail("Session Present")
		}
	}},
	{"but not from 0", "MQTT-4.13.1-1", only5, func(p *play) {
		c := p.open()
		c.send(packet(0xe0, "\x00", counted("\x11"+u32(5))))
		c.closed(0x82)
	}},
	{"messages wait for who is away", "MQTT-4.5.0-1", both, func(p *play) {
		c := p.connect(p.keeping(false))
		c.subscribe(2, p.topic("t"))
		c.leave()
		from := p.open()
		for _, m := range []message{{payload: "1", qos: 1}, {payload: "2", qos: 2}, {payload: "3", qos: 1}} {
			m.topic = p.topic("t")
			from.publish(m)
		}
		c = p.connect(p.keeping(false))
		c.accept(message{topic: p.topic("t"), payload: "1", qos: 1})
		c.accept(message{topic: p.topic("t"), payload: "2", qos: 2})
		c.accept(message{topic: p.topic("t"), payload: "3", qos: 1})
		c.quiet()
	}},
	{"what was not acknowledged comes again", "MQTT-4.4.0-1", both, func(p *play) {
		c, first, second := p.interrupted()
		if m := c.receive(message{topic: p.topic("t"), payload: "1", qos: 1, dup: true}); m.id != first { // [MQTT-3.3.1-1]
			p.fail("identifier %d, want %d", m.id, first)
		}
		if m := c.receive(message{topic: p.topic("t"), payload: "2", qos: 2, dup: true}); m.id != second {
			p.fail("identifier %d, want %d", m.id, second)
		}
		c.quiet()
	}},
	{"after PUBREL the message does not", "MQTT-4.3.3-6", both, func(p *play) {
		c, _, second := p.interrupted()
		c.accept(message{topic: p.topic("t"), payload: "1", qos: 1, dup: true})
		c.receive(message{topic: p.topic("t"), payload: "2", qos: 2, dup: true})
		c.send(ack(0x50, second))
		c.ack(0x62, second, 0)
		c.drop()
		c = p.connect(p.keeping(false))
		c.ack(0x62, second, 0)
		c.send(ack(0x70, second))
		c.quiet()
	}},
	{"what was acknowledged does not", "MQTT-4.3.2-3", both, func(p *play) {
		c, _, _ := p.interrupted()
		c.accept(message{topic: p.topic("t"), payload: "1", qos: 1, dup: true})
		c.accept(message{topic: p.topic("t"), payload: "2", qos: 2, dup: true})
		c.quiet()
		c.leave()
		p.connect(p.keeping(false)).quiet()
	}},
	{"an identifier that a client has opened stays open", "MQTT-4.3.3-10", both, func(p *play) {
		s := p.open()
		s.subscribe(0, p.topic("t"))
		c := p.connect(p.keeping(false))
		m := message{topic: p.topic("t"), payload: "x", qos: 2, id: 5}
		c.send(m.bytes(p.v))
		c.ack(0x50, 5, 0, 0x10)
		c.drop()
		c = p.connect(p.keeping(false))
		m.dup = true
		c.send(m.bytes(p.v))
		c.ack(0x50, 5, 0, 0x10)
		c.send(ack(0x62, 5))
		c.ack(0x70, 5, 0)
		s.receive(message{topic: p.topic("t"), payload: "x"})
		s.quiet()
	}},
	{"a message that waits too long is not delivered", "MQTT-3.3.2-5", only5, func(p *play) {
		c := p.connect(p.keeping(false))
		c.subscribe(1, p.topic("t"))
		c.leave()
		from := p.open()
		from.publish(message{topic: p.topic("t"), payload: "short", qos: 1, props: "\x02" + u32(1)})
		from.publish(message{topic: p.topic("t"), payload: "long", qos: 1, props: "\x02" + u32(60)})
		p.wait(2500 * time.Millisecond)
		c = p.connect(p.keeping(false))
		m := c.accept(message{topic: p.topic("t"), payload: "long", qos: 1})
		if left, _ := property(m.props, 0x02); left >= u32(60) || left < u32(50) { // [MQTT-3.3.2-6]
			p.fail("Message Expiry Interval is %x", left)
		}
		c.quiet()
	}},
	{"a takeover goes on with the session", "MQTT-3.1.2-5", both, func(p *play) {
		old := p.connect(p.keeping(false))
		old.subscribe(1, p.topic("t"))
		c := p.connect(p.keeping(false))
		old.closed(0x8e)
		if !c.present {
			p.fail("no Session Present")
		}
		p.open().publish(message{topic: p.topic("t"), payload: "x", qos: 1})
		c.accept(message{topic: p.topic("t"), payload: "x", qos: 1})
	}},
	{"a refused message is not sent again", "MQTT-4.4.0-2", only5, func(p *play) {
		c := p.connect(p.keeping(false))
		c.subscribe(2, p.topic("t"))
		from := p.open()
		from.publish(message{topic: p.topic("t"), payload: "1", qos: 1})
		from.publish(message{topic: p.topic("t"), payload: "2", qos: 2})
		m := c.receive(message{topic: p.topic("t"), payload: "1", qos: 1})
		c.send(packet(0x40, u16(m.id), "\x83"))
		m = c.receive(message{topic: p.topic("t"), payload: "2", qos: 2})
		c.send(packet(0x50, u16(m.id), "\x83"))
		c.quiet()
		c.drop()
		p.connect(p.keeping(false)).quiet()
	}},
}

// interrupted is a session that comes back after two messages, of QoS 1 and 2, whose acknowledgements never came.
func (p *play) interrupted() (c *conn, first, second uint16) {
	c = p.connect(p.keeping(false))
	c.subscribe(2, p.topic("t"))
	from := p.open()
	from.publish(message{topic: p.topic("t"), payload: "1", qos: 1})
	from.publish(message{topic: p.topic("t"), payload: "2", qos: 2})
	first = c.receive(message{topic: p.topic("t"), payload: "1", qos: 1}).id
	second = c.receive(message{topic: p.topic("t"), payload: "2", qos: 2}).id
	c.drop()
	return p.connect(p.keeping(false)), first, second
}
