package main

import "time"

// Messages that stay with their topic.
var retainCases = []test{
	{"a new subscription gets it, with RETAIN", "MQTT-3.3.1-9", both, func(p *play) {
		p.keep(message{payload: "x", qos: 1})
		c := p.open()
		c.subscribe(1, p.topic("t"))
		c.accept(message{topic: p.topic("t"), payload: "x", qos: 1, retain: true})
		c.quiet()
	}},
	{"RETAIN 1 for who subscribes, as bytes", "3.1.1: MQTT-3.3.1-8", only4, func(p *play) {
		p.keep(message{payload: "x"})
		c := p.open()
		c.subscribe(0, p.topic("t"))
		c.want(message{topic: p.topic("t"), payload: "x", retain: true}.bytes(p.v))
	}},
	{"at the lower QoS", "MQTT-3.8.4-8", both, func(p *play) {
		p.keep(message{payload: "x", qos: 2})
		for granted := range byte(3) {
			c := p.open()
			c.subscribe(granted, p.topic("t"))
			c.accept(message{topic: p.topic("t"), payload: "x", qos: granted, retain: true})
		}
	}},
	{"RETAIN 0 for who has subscribed before", "MQTT-3.3.1-12", both, func(p *play) {
		c := p.open()
		c.subscribe(0, p.topic("t"))
		p.keep(message{payload: "x"})
		c.receive(message{topic: p.topic("t"), payload: "x"})
	}},
	{"the next one replaces it", "MQTT-3.3.1-5", both, func(p *play) {
		p.keep(message{payload: "1", qos: 2})
		p.keep(message{payload: "2"})
		c := p.open()
		c.subscribe(2, p.topic("t"))
		c.receive(message{topic: p.topic("t"), payload: "2", retain: true})
		c.quiet()
	}},
	{"an empty one removes it, and is delivered", "MQTT-3.3.1-6", both, func(p *play) {
		p.keep(message{payload: "1"})
		c := p.open()
		c.subscribe(0, p.topic("t"))
		c.receive(message{topic: p.topic("t"), payload: "1", retain: true})
		p.keep(message{})
		c.receive(message{topic: p.topic("t")})
		s := p.open()
		s.subscribe(0, p.topic("t"))
		s.quiet()
	}},
	{"an empty one is not kept", "MQTT-3.3.1-7", both, func(p *play) {
		p.keep(message{})
		c := p.open()
		c.subscribe(0, p.topic("t"))
		c.quiet()
	}},
	{"a message without RETAIN leaves it", "MQTT-3.3.1-8", both, func(p *play) {
		p.keep(message{payload: "1"})
		p.open().publish(message{topic: p.topic("t"), payload: "2", qos: 1})
		p.open().publish(message{topic: p.topic("t"), qos: 1})
		c := p.open()
		c.subscribe(0, p.topic("t"))
		c.receive(message{topic: p.topic("t"), payload: "1", retain: true})
	}},
	{"a filter brings all that match", "MQTT-3.3.1-9", both, func(p *play) {
		c := p.open()
		for _, name := range []string{"a", "a/b", "a/b/c"} {
			c.publish(message{topic: p.topic(name), payload: "x", qos: 1, retain: true})
		}
		c.subscribe(0, p.topic("a/#"))
		for range 3 {
			if m := c.message(); !m.retain {
				p.fail("got %v, want RETAIN", m)
			}
		}
		c.quiet()
	}},
	{"the end of a session leaves it", "3.1.1: MQTT-3.1.2-7", both, func(p *play) {
		c := p.open()
		c.publish(message{topic: p.topic("t"), payload: "x", qos: 1, retain: true})
		c.drop()
		s := p.open()
		s.subscribe(0, p.topic("t"))
		s.receive(message{topic: p.topic("t"), payload: "x", retain: true})
	}},
	{"subscribing again brings it again", "MQTT-3.8.4-4", both, func(p *play) {
		p.keep(message{payload: "x"})
		c := p.open()
		for range 2 {
			c.subscribe(0, p.topic("t"))
			c.receive(message{topic: p.topic("t"), payload: "x", retain: true})
		}
	}},
	{"Retain Handling 1 brings it to new subscriptions", "MQTT-3.3.1-10", only5, func(p *play) {
		p.keep(message{payload: "x"})
		c := p.open()
		c.subscribe(0x10, p.topic("t"))
		c.receive(message{topic: p.topic("t"), payload: "x", retain: true})
		c.subscribe(0x10, p.topic("t"))
		c.quiet()
	}},
	{"Retain Handling 2 never does", "MQTT-3.3.1-11", only5, func(p *play) {
		p.keep(message{payload: "x"})
		c := p.open()
		c.subscribe(0x20, p.topic("t"))
		c.quiet()
	}},
	{"Retain As Published keeps RETAIN", "MQTT-3.3.1-13", only5, func(p *play) {
		c := p.open()
		c.subscribe(0x08, p.topic("t"))
		p.keep(message{payload: "x"})
		c.receive(message{topic: p.topic("t"), payload: "x", retain: true})
		p.open().publish(message{topic: p.topic("t"), payload: "y"})
		c.receive(message{topic: p.topic("t"), payload: "y"})
	}},
	{"a shared subscription brings none", "4.8.2", only5, func(p *play) {
		p.keep(message{payload: "x"})
		c := p.open()
		c.subscribe(0, "$share/g/"+p.topic("t"))
		c.quiet()
	}},
	{"one that has expired is not sent", "MQTT-3.3.2-5", only5, func(p *play) {
		p.keep(message{payload: "x", props: "\x02" + u32(1)})
		p.wait(2500 * time.Millisecond)
		c := p.open()
		c.subscribe(0, p.topic("t"))
		c.quiet()
	}},
}

// keep publishes m, retained, to the topic t of the case.
func (p *play) keep(m message) {
	m.topic, m.retain = p.topic("t"), true
	c := p.open()
	c.publish(m)
	if m.qos == 0 {
		c.quiet() // it has arrived
	}
	c.leave()
}

// wait lets time pass on a connection of its own.
func (p *play) wait(d time.Duration) {
	c := p.open()
	if first, body, err := c.read(d); err == nil {
		p.fail("got %02x %x, want nothing", first, body)
	}
}

// What is published when a client goes without a word.
var willCases = []test{
	{"a lost connection publishes it", "MQTT-3.1.2-8", both, func(p *play) {
		s, c := p.willed(&will{payload: "gone", qos: 1}, "")
		c.drop()
		s.accept(message{topic: p.topic("will"), payload: "gone", qos: 1})
		s.quiet() // [MQTT-3.1.2-10]
	}},
	{"DISCONNECT discards it", "MQTT-3.14.4-3", both, func(p *play) {
		s, c := p.willed(&will{payload: "gone"}, "")
		c.leave()
		s.quiet()
	}},
	{"DISCONNECT with 0x04 does not", "MQTT-3.1.2-8", only5, func(p *play) {
		s, c := p.willed(&will{payload: "gone"}, "")
		c.send("\xe0\x01\x04")
		c.closed()
		s.receive(message{topic: p.topic("will"), payload: "gone"})
	}},
	{"a broken rule publishes it", "MQTT-3.1.2-8", both, func(p *play) {
		s, c := p.willed(&will{payload: "gone"}, "")
		c.send(packet(0x36, str("a"), u16(1), ifV5(p.v, "\x00")))
		c.closed(malformed(p.v)...)
		s.receive(message{topic: p.topic("will"), payload: "gone"})
	}},
	{"it is not retained unless it asks for that", "MQTT-3.1.2-14", both, func(p *play) {
		s, c := p.willed(&will{payload: "gone"}, "")
		c.drop()
		s.receive(message{topic: p.topic("will"), payload: "gone"})
		s.subscribe(0, p.topic("will"))
		s.quiet()
	}},
	{"it is retained if it asks for that", "MQTT-3.1.2-15", both, func(p *play) {
		s, c := p.willed(&will{payload: "gone", retain: true}, "")
		c.drop()
		s.receive(message{topic: p.topic("will"), payload: "gone"})
		s.subscribe(0, p.topic("will"))
		s.receive(message{topic: p.topic("will"), payload: "gone", retain: true})
	}},
	{"an empty one", "MQTT-3.1.2-7", both, func(p *play) {
		s, c := p.willed(&will{}, "")
		c.drop()
		s.receive(message{topic: p.topic("will")})
	}},
	{"without one nothing is published", "3.1.1: MQTT-3.1.2-12", both, func(p *play) {
		s, c := p.willed(&will{payload: "gone"}, "")
		c.leave()
		p.connect(&hello{id: p.name + "w", clean: true}).drop()
		s.quiet()
	}},
	{"a takeover publishes it", "MQTT-3.1.2-8", both, func(p *play) {
		s, c := p.willed(&will{payload: "gone"}, "")
		p.connect(&hello{id: p.name + "w", clean: true})
		c.closed(0x8e)
		s.receive(message{topic: p.topic("will"), payload: "gone"})
	}},
	{"its properties come with it", "MQTT-3.1.3-10", only5, func(p *play) {
		users := user("z", "1") + user("a", "2")
		s, c := p.willed(&will{payload: "gone", props: "\x03" + str("text") + users}, "")
		c.drop()
		m := s.receive(message{topic: p.topic("will"), payload: "gone"})
		if len(m.props) != len("\x03"+str("text")+users) || m.props[:len(users)] != users && m.props[len(m.props)-len(users):] != users {
			p.fail("properties %x", m.props)
		}
	}},
	{"it is delayed", "MQTT-3.1.2-8", only5, func(p *play) {
		s, c := p.willed(&will{payload: "gone", props: "\x18" + u32(2)}, "\x11"+u32(60))
		c.drop()
		s.quiet()
		s.receive(message{topic: p.topic("will"), payload: "gone"})
	}},
	{"coming back in time stops it", "MQTT-3.1.3-9", only5, func(p *play) {
		s, c := p.willed(&will{payload: "gone", props: "\x18" + u32(1)}, "\x11"+u32(60))
		c.drop()
		p.connect(&hello{id: p.name + "w", props: "\x11" + u32(60)})
		p.wait(2500 * time.Millisecond)
		s.quiet()
	}},
	{"the end of the session does not wait", "MQTT-3.1.2-8", only5, func(p *play) {
		s, c := p.willed(&will{payload: "gone", props: "\x18" + u32(600)}, "")
		c.drop()
		s.receive(message{topic: p.topic("will"), payload: "gone"})
	}},
}

// willed is a client with a Will, and one that is subscribed to it.
func (p *play) willed(w *will, props string) (s, c *conn) {
	w.topic = p.topic("will")
	s = p.open()
	s.subscribe(2, w.topic)
	return s, p.connect(&hello{id: p.name + "w", clean: true, will: w, props: props})
}
