package model

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/internal/script"
	"github.com/nightjarmq/nightjar/packet"
)

// World is where a sequence is played.
type World struct {
	Dial func() (net.Conn, error)

	// Settle returns when the broker has done all it will do with what it was
	// sent. nil where that cannot be known: then everybody asks by a PINGREQ.
	Settle func()

	// Pass lets time pass; nil where time passes by itself, and a sequence is too
	// short for anything to become due.
	Pass func(time.Duration)

	// Restart ends the broker and starts another one from what it has stored; nil
	// where it stores nothing.
	Restart func() error
}

// play is a sequence being played.
type play struct {
	w       *World
	ref     *reference
	clients [clients]*client
	closed  []*link // taken over, and not looked at since
	number  int     // of messages so far
	log     strings.Builder
}

const clients = 4

// client is a client with its half of the session state.
type client struct {
	id      string
	link    *link // nil: not connected
	session *session
	todo    []ack             // what it should acknowledge
	done    []ack             // what it has acknowledged
	open    []packet.Publish  // QoS 2 messages without PUBCOMP, in order
	alias   map[uint16]string // that it has set on this connection
	ids     uint16
}

// ack is an acknowledgement by a client.
type ack struct {
	typ packet.Type
	id  uint16
}

// Play plays the steps in the world, and then lets everybody come back and get
// what is owed. It returns the conversation as well.
func Play(w *World, steps []Step) (conversation string, err error) {
	p := &play{w: w, ref: newReference()}
	for i := range p.clients {
		p.clients[i] = &client{id: fmt.Sprintf("c%d", i)}
	}
	defer p.end()
	for _, s := range steps {
		if err := p.do(s); err != nil {
			return p.log.String(), err
		}
	}
	err = p.finish()
	return p.log.String(), err
}

func (p *play) do(s Step) error {
	p.logf("# %T %+v", s, s)
	if err := s.play(p); err != nil {
		return err
	}
	return p.look()
}

// finish connects every session once more and acknowledges everything: whatever
// is owed must come.
func (p *play) finish() error {
	p.logf("# finish")
	for i, c := range p.clients {
		if s := p.ref.sessions[c.id]; s != nil {
			if err := p.do(Connect{Client: i, V5: true, Expiry: 1000, OtherUser: s.user != userOf(false)}); err != nil {
				return err
			}
		}
	}
	for busy := true; busy; {
		busy = false
		for _, c := range p.clients {
			if c.link == nil || len(c.todo) == 0 {
				continue
			}
			busy = true
			all := c.todo
			c.todo = nil
			if err := p.acknowledge(c, false, all...); err != nil {
				return err
			}
			if err := p.look(); err != nil {
				return err
			}
		}
	}
	for _, c := range p.clients {
		if c.link != nil && c.session.count(func(d *delivery) bool { return !d.may }) > 0 {
			return fmt.Errorf("%s is still owed something", c.id)
		}
	}
	return nil
}

func (p *play) end() {
	for _, c := range p.clients {
		if c.link != nil {
			c.link.close()
		}
	}
	for _, l := range p.closed {
		l.close()
	}
}

func (p *play) logf(format string, args ...any) { fmt.Fprintf(&p.log, format+"\n", args...) }

// at returns the i-th of the clients that are connected, nil if there is none.
func (p *play) at(i int) *client {
	var up []*client
	for _, c := range p.clients {
		if c.link != nil {
			up = append(up, c)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[i%len(up)]
}

// send writes packets in one piece and notes what the broker owes for them.
func (p *play) send(c *client, replies []reply, packets ...packet.Packet) error {
	var out []byte
	for _, k := range packets {
		p.logf("  %s> %s", c.id, script.PrintPacket(k, c.link.version))
		out = k.Append(out, c.link.version)
	}
	c.link.replies = append(c.link.replies, replies...)
	_, err := c.link.conn.Write(out)
	return err
}

// look waits until the broker is at rest, and judges what has come.
func (p *play) look() error {
	if err := p.settle(); err != nil {
		return err
	}
	for _, l := range p.closed {
		if err := p.judgeLink(nil, l); err != nil {
			return fmt.Errorf("connection that was to end: %w", err)
		}
		l.close()
	}
	p.closed = nil
	for _, c := range p.clients {
		if c.link == nil {
			continue
		}
		if err := p.judgeLink(c, c.link); err != nil {
			return fmt.Errorf("%s: %w", c.id, err)
		}
	}
	return p.ref.settled()
}

// settle waits until the broker is at rest. Without World.Settle that is known
// by a round of PINGREQ. A message is in the output of its receiver before the
// answer to its publisher's PINGREQ is in the publisher's output, whatever loops
// they are on, for a packet is routed before the next one is looked at. So once
// all have been answered, a second round finds behind its own answers nothing
// that was sent before. A connection that the broker closes says so after wills
// have been published.
func (p *play) settle() error {
	if p.w.Settle != nil {
		p.w.Settle()
		return nil
	}
	for _, l := range p.closed {
		if err := l.awaitEnd(); err != nil {
			return err
		}
	}
	for range 2 {
		for _, c := range p.clients {
			if c.link == nil {
				continue
			}
			if err := c.link.ping(); err != nil {
				return fmt.Errorf("%s: PINGREQ: %w", c.id, err)
			}
		}
	}
	return nil
}

// judgeLink takes what has come on a connection; c is nil if the client has
// another one, or none, by now.
func (p *play) judgeLink(c *client, l *link) error {
	for {
		k, err := l.next()
		if err != nil {
			return err
		}
		if k == nil {
			break
		}
		if k.Type() == packet.TypePingresp {
			continue
		}
		name := "(old)"
		if c != nil {
			name = c.id
		}
		p.logf("  %s< %s", name, script.PrintPacket(k, l.version))
		if err := p.judge(c, l, k); err != nil {
			return fmt.Errorf("%s: %w", script.PrintPacket(k, l.version), err)
		}
	}
	if len(l.replies) > 0 {
		return fmt.Errorf("the broker has not sent %v", l.replies)
	}
	if l.ended() != l.closing {
		return fmt.Errorf("connection closed: %v, should be %v", l.ended(), l.closing)
	}
	return nil
}

func (p *play) judge(c *client, l *link, k packet.Packet) error {
	if pub, ok := k.(*packet.Publish); ok {
		if c == nil || !l.connected {
			return fmt.Errorf("nothing should come here")
		}
		return p.arrived(c, l, pub)
	}
	i := slices.IndexFunc(l.replies, func(r reply) bool {
		return r.typ == k.Type() && (r.typ != packet.TypePubrel || r.id == idOf(k))
	})
	if i < 0 {
		return fmt.Errorf("it answers nothing")
	}
	want := l.replies[i]
	if !l.connected && i > 0 {
		return fmt.Errorf("the first packet is not CONNACK [MQTT-3.2.0-1]")
	}
	l.replies = slices.Delete(l.replies, i, i+1)
	if err := want.check(k); err != nil {
		return fmt.Errorf("want %v: %w", want, err)
	}
	switch k := k.(type) {
	case *packet.Connack:
		l.connected = k.Code == packet.Success
	case *packet.Pubrel:
		c.todo = append(c.todo, ack{packet.TypePubcomp, k.PacketID})
	}
	return nil
}

func (p *play) arrived(c *client, l *link, k *packet.Publish) error {
	topic, err := l.topic(k)
	if err != nil {
		return err
	}
	a := &arrival{Publish: *k, topic: topic}
	if p.w.Pass == nil {
		a.slack = 600_000
	}
	if err := p.ref.deliver(c.session, a); err != nil {
		return err
	}
	switch k.QoS {
	case 1:
		c.todo = append(c.todo, ack{packet.TypePuback, k.PacketID})
	case 2:
		c.todo = append(c.todo, ack{packet.TypePubrec, k.PacketID})
	}
	return nil
}

// check compares a packet with the reply that is owed.
func (r reply) check(k packet.Packet) error {
	if id := idOf(k); id != r.id {
		return fmt.Errorf("wrong packet identifier or wrong order")
	}
	ok := true
	switch k := k.(type) {
	case *packet.Connack:
		ok = k.SessionPresent == r.present && slices.Contains(r.codes, k.Code)
	case *packet.Puback:
		ok = slices.Contains(r.codes, k.Code)
	case *packet.Pubrec:
		ok = slices.Contains(r.codes, k.Code)
	case *packet.Pubrel:
		ok = slices.Contains(r.codes, k.Code)
	case *packet.Pubcomp:
		ok = slices.Contains(r.codes, k.Code)
	case *packet.Suback:
		ok = slices.Equal(r.codes, k.Codes)
	case *packet.Unsuback:
		ok = len(k.Codes) == 0 || slices.Equal(r.codes, k.Codes) // 3.1.1 has none
	case *packet.Disconnect:
		ok = slices.Contains(r.codes, k.Code)
	}
	if !ok {
		return fmt.Errorf("it says something else")
	}
	return nil
}

func idOf(k packet.Packet) uint16 {
	switch k := k.(type) {
	case *packet.Puback:
		return k.PacketID
	case *packet.Pubrec:
		return k.PacketID
	case *packet.Pubrel:
		return k.PacketID
	case *packet.Pubcomp:
		return k.PacketID
	case *packet.Suback:
		return k.PacketID
	case *packet.Unsuback:
		return k.PacketID
	}
	return 0
}
