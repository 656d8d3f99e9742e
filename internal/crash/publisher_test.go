package crash

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// knowledge is what a client knows about its session.
type knowledge int

const (
	none  knowledge = iota // there is none
	maybe                  // the broker went before it answered
	there
)

// judge says whether a CONNACK may say what it says. [MQTT-3.2.2-2] [MQTT-3.2.2-3]
func (k knowledge) judge(present bool) error {
	if k == maybe || present == (k == there) {
		return nil
	}
	return fmt.Errorf("session present is %v", present)
}

// retained is what the one publisher of a retained topic knows about it.
type retained struct {
	acked  string // payload acknowledged last, "" when it was removed
	flying *string
}

// publisher publishes with QoS 1 and 2. Most have a session that outlives the
// connection and keep on until a message is acknowledged; some do not.
type publisher struct {
	c       *campaign
	i       int
	who     string
	rnd     *rand.Rand
	version packet.Version
	durable bool
	session knowledge
	window  int
	hurry   time.Duration // the longest pause
	number  map[stream]int
	open    []*outgoing // in order
}

type outgoing struct {
	packet.Publish
	message  int  // index
	released bool // PUBREC has come
}

func newPublisher(c *campaign, i int) *publisher {
	p := &publisher{
		c: c, i: i, who: "pub" + strconv.Itoa(i), rnd: random(c.seed, 1000+i), version: packet.V311,
		durable: i%10 != 9, number: make(map[stream]int), hurry: 150 * time.Millisecond,
	}
	if i%2 == 0 {
		p.version = packet.V5
	}
	if i%7 == 0 {
		p.hurry = 5 * time.Millisecond
	}
	p.window = 1 + p.rnd.IntN(8)
	return p
}

func (p *publisher) life(w *wire) (done bool, err error) {
	if err := p.connect(w); err != nil {
		return false, err
	}
	if p.durable {
		err = p.again(w)
	} else {
		p.open = nil
	}
	for err == nil {
		last := p.c.finishing()
		if last && len(p.open) == 0 {
			return true, w.leave(&packet.Disconnect{})
		}
		if !last {
			err = p.burst(w)
		}
		for err == nil && len(p.open) > 0 && (last || p.rnd.IntN(4) > 0) {
			err = p.answer(w)
		}
		if err == nil && !last {
			if p.rnd.IntN(80) == 0 {
				return false, w.hangUp()
			}
			w.pause(time.Duration(p.rnd.Int64N(int64(p.hurry))))
		}
	}
	return false, err
}

func (p *publisher) connect(w *wire) error {
	k := &packet.Connect{Version: p.version, ClientID: p.who, CleanStart: !p.durable}
	if p.durable && p.version == packet.V5 {
		k.SessionExpiry = packet.Some[uint32](3600)
	}
	was := p.session
	if p.durable && was == none {
		p.session = maybe
	}
	ack, err := w.open(k)
	if err != nil {
		return err
	}
	if p.durable {
		p.session = there
	}
	return was.judge(ack.SessionPresent)
}

// again continues what an earlier connection has left. [MQTT-4.4.0-1]
func (p *publisher) again(w *wire) error {
	var list []packet.Packet
	for _, o := range p.open {
		if o.released {
			list = append(list, &packet.Pubrel{PacketID: o.PacketID})
			continue
		}
		dup := o.Publish
		dup.Dup = true
		list = append(list, &dup)
		p.c.mu.Lock()
		p.c.messages[o.message].again = true
		p.c.mu.Unlock()
	}
	_, err := w.send(list...)
	return err
}

// burst publishes some messages.
func (p *publisher) burst(w *wire) error {
	for range 1 + p.rnd.IntN(4) {
		if len(p.open) >= p.window {
			return nil
		}
		o := p.make()
		p.open = append(p.open, o)
		n, err := w.send(&o.Publish)
		p.c.mu.Lock()
		p.c.messages[o.message].sent = n
		p.c.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *publisher) make() *outgoing {
	s := stream{p.i, p.topic(), byte(1 + p.rnd.IntN(2))}
	p.number[s]++
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	o := &outgoing{message: len(p.c.messages)}
	p.c.messages = append(p.c.messages, message{stream: s, n: p.number[s]})
	o.Topic, o.QoS, o.PacketID = []byte(s.topic), s.qos, p.free()
	o.Payload = p.payload(o.message)
	if strings.HasPrefix(s.topic, "r/") {
		o.Retain = true
		if p.rnd.IntN(5) == 0 {
			o.Payload = nil // [MQTT-3.3.1-6]
			p.c.messages[o.message].removes = true
		}
		r := p.c.retained[s.topic]
		if r == nil {
			r = new(retained)
			p.c.retained[s.topic] = r
		}
		value := string(o.Payload)
		r.flying = &value
	}
	return o
}

// topic picks one with many subscribers, some, one, none, or a retained one.
func (p *publisher) topic() string {
	switch n := p.rnd.IntN(100); {
	case n < 40:
		return "t/" + strconv.Itoa(p.rnd.IntN(someTopics))
	case n < 65:
		return "one/" + strconv.Itoa(p.rnd.IntN(p.c.size))
	case n < 70:
		return "all/" + strconv.Itoa(p.rnd.IntN(3))
	case n < 80:
		return "none/" + strconv.Itoa(p.i)
	case n < 90 || !p.durable || p.rewrites():
		return "flip/" + strconv.Itoa(p.rnd.IntN(flipTopics))
	}
	return "r/" + strconv.Itoa(p.i)
}

// rewrites reports whether a retained message waits for its acknowledgement:
// with two of them the last would not be known.
func (p *publisher) rewrites() bool {
	for _, o := range p.open {
		if o.Retain {
			return true
		}
	}
	return false
}

// free is the lowest packet identifier that is free, so that all are used again
// soon.
func (p *publisher) free() uint16 {
next:
	for id := uint16(1); ; id++ {
		for _, o := range p.open {
			if o.PacketID == id {
				continue next
			}
		}
		return id
	}
}

func (p *publisher) payload(index int) []byte {
	size := p.rnd.IntN(100)
	if p.rnd.IntN(20) == 0 {
		size = p.rnd.IntN(8000)
	}
	b := fmt.Appendf(nil, "%d ", index)
	for range size {
		b = append(b, byte('a'+p.rnd.IntN(26)))
	}
	return fmt.Appendf(b, " %08x", crc32.ChecksumIEEE(b))
}

// index reads a payload.
func index(payload []byte) (int, error) {
	n := len(payload) - 9
	if n < 2 || fmt.Sprintf(" %08x", crc32.ChecksumIEEE(payload[:n])) != string(payload[n:]) {
		return 0, fmt.Errorf("a payload that nobody has sent: %.60q", payload)
	}
	number, _, _ := strings.Cut(string(payload[:n]), " ")
	return strconv.Atoi(number)
}

// answer handles one packet from the broker.
func (p *publisher) answer(w *wire) error {
	k, n, err := w.receive()
	if err != nil {
		return err
	}
	id, code := identifier(k)
	for i, o := range p.open {
		if o.PacketID != id {
			continue
		}
		if code >= packet.UnspecifiedError && code != packet.PacketIdentifierNotFound {
			return fmt.Errorf("refused: %s", describe(k))
		}
		switch t := k.Type(); {
		case t == packet.TypePubrec && o.QoS == 2:
			p.acked(o, n)
			o.released = true
			_, err := w.send(&packet.Pubrel{PacketID: id})
			return err
		case t == packet.TypePuback && o.QoS == 1, t == packet.TypePubcomp && o.released:
			p.acked(o, n)
			p.open = append(p.open[:i], p.open[i+1:]...)
			return nil
		}
	}
	return errors.New("unexpected: " + describe(k))
}

func (p *publisher) acked(o *outgoing, n uint64) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	m := &p.c.messages[o.message]
	if m.acked != 0 {
		return
	}
	m.acked = n
	if o.Retain {
		p.c.retained[m.topic] = &retained{acked: string(o.Payload)}
	}
}
