package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// play is one case under way, against one broker in one version.
type play struct {
	s       *settings
	v       byte
	name    string // unique on the broker: begins the client identifiers and topics of this case
	conns   []*conn
	clients int
	log     strings.Builder // what was sent and received
	failed  string
	skipped string
}

// settings are what the command line says.
type settings struct {
	address string
	patience,
	quiet time.Duration
	user, password string
}

// fail ends the case.
func (p *play) fail(format string, args ...any) {
	p.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// skip ends a case that does not concern this broker.
func (p *play) skip(reason string) {
	p.skipped = reason
	runtime.Goexit()
}

// topic is one that no other case uses.
func (p *play) topic(s string) string { return p.name + "/" + s }

// conn is a client's connection.
type conn struct {
	p    *play
	name string
	net  net.Conn
	buf  []byte
	v    byte
	next uint16 // the last packet identifier that was used

	present bool   // Session Present of CONNACK
	props   string // the properties of CONNACK
}

// dial connects without a CONNECT.
func (p *play) dial() *conn {
	c, err := net.DialTimeout("tcp", p.s.address, p.s.patience)
	if err != nil {
		p.fail("dial: %v", err)
	}
	p.clients++
	k := &conn{p: p, net: c, v: p.v, name: string(rune('a' - 1 + p.clients))}
	p.conns = append(p.conns, k)
	return k
}

// open connects with a clean session and a name of its own.
func (p *play) open() *conn { return p.connect(&hello{clean: true}) }

// connect connects, and expects to be accepted. An empty identifier becomes a unique one.
func (p *play) connect(h *hello) *conn {
	c := p.dial()
	if h.id == "" {
		h.id = p.name + c.name
	}
	c.send(p.signed(h))
	first, body := c.packet()
	if first != 0x20 || len(body) < 2 || body[1] != 0 {
		p.fail("%s: got %02x %x, want a CONNACK of success", c.name, first, body)
	}
	if body[0]&0xfe != 0 {
		p.fail("%s: reserved bits in CONNACK %x", c.name, body)
	}
	c.present = body[0] == 1
	if c.v == v5 {
		var ok bool
		if c.props, _, ok = cutCounted(body[2:]); !ok {
			p.fail("%s: CONNACK %x has no properties", c.name, body)
		}
	} else if len(body) != 2 {
		p.fail("%s: CONNACK %x is too long", c.name, body)
	}
	return c
}

// signed is the CONNECT with the user of the command line.
func (p *play) signed(h *hello) string {
	if h.user == "" {
		h.user, h.password = p.s.user, p.s.password
	}
	return h.bytes(p.v)
}

// send writes bytes. That the broker has closed already shows when something is read.
func (c *conn) send(parts ...string) {
	b := strings.Join(parts, "")
	fmt.Fprintf(&c.p.log, "%s> %s\n", c.name, shown(b))
	c.net.SetWriteDeadline(time.Now().Add(c.p.s.patience))
	if _, err := io.WriteString(c.net, b); err != nil && !ended(err) {
		c.p.fail("%s: send: %v", c.name, err)
	}
}

func shown(b string) string {
	if len(b) > 60 {
		return fmt.Sprintf("%x... (%d bytes)", b[:60], len(b))
	}
	return fmt.Sprintf("%x", b)
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// read reads the next packet within a time. It gives io.EOF at the end of the connection.
func (c *conn) read(within time.Duration) (first byte, body string, err error) {
	c.net.SetReadDeadline(time.Now().Add(within))
	chunk := make([]byte, 64<<10)
	for {
		if len(c.buf) > 1 {
			if head, rest, ok := cutCounted(string(c.buf[1:])); ok {
				first = c.buf[0]
				c.buf = []byte(rest)
				fmt.Fprintf(&c.p.log, "%s< %02x %s\n", c.name, first, shown(head))
				return first, head, nil
			}
		}
		n, err := c.net.Read(chunk)
		c.buf = append(c.buf, chunk[:n]...)
		switch {
		case n > 0:
		case ended(err):
			fmt.Fprintf(&c.p.log, "%s! closed\n", c.name)
			return 0, "", io.EOF
		default:
			return 0, "", err
		}
	}
}

// packet reads the next packet.
func (c *conn) packet() (first byte, body string) {
	first, body, err := c.read(c.p.s.patience)
	if err != nil {
		c.p.fail("%s: no packet: %v", c.name, err)
	}
	return first, body
}

// want expects exactly these bytes next.
func (c *conn) want(b string) {
	first, body := c.packet()
	if got := packet(first, body); got != b {
		c.p.fail("%s: got %s, want %s", c.name, shown(got), shown(b))
	}
}

// ack expects an acknowledgement; 5.0 may spell out the code, and one of codes.
func (c *conn) ack(first byte, id uint16, codes ...byte) {
	got, body := c.packet()
	code := byte(0)
	if c.v == v5 && len(body) > 2 {
		code = body[2]
	}
	plain := len(body) == 2 || c.v == v5 && len(body) == 3 || c.v == v5 && len(body) > 3 && int(body[3]) == len(body)-4
	if got != first || len(body) < 2 || body[:2] != u16(id) || !plain {
		c.p.fail("%s: got %02x %x, want %02x for %d", c.name, got, body, first, id)
	}
	if c.v == v5 && !slices.Contains(codes, code) {
		c.p.fail("%s: got code %02x, want one of %x", c.name, code, codes)
	}
}

// message expects a PUBLISH.
func (c *conn) message() message {
	first, body := c.packet()
	m, ok := parse(first, body, c.v)
	if !ok {
		c.p.fail("%s: got %02x %x, want a PUBLISH", c.name, first, body)
	}
	return m
}

// quiet expects that nothing has come, and that the broker is there.
func (c *conn) quiet() {
	c.send("\xc0\x00")
	c.want("\xd0\x00")
	if first, body, err := c.read(c.p.s.quiet); err == nil {
		c.p.fail("%s: got %02x %x, want nothing", c.name, first, body)
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.p.fail("%s: %v", c.name, err)
	}
}

// closed expects that the broker closes the connection. Before that 5.0 may say DISCONNECT, with one of codes.
func (c *conn) closed(codes ...byte) { c.closedWithin(c.p.s.patience, codes...) }

func (c *conn) closedWithin(d time.Duration, codes ...byte) {
	first, body, err := c.read(d)
	if err == nil && c.v == v5 && first == 0xe0 && len(body) > 0 {
		if !slices.Contains(codes, body[0]) {
			c.p.fail("%s: got DISCONNECT %02x, want one of %x", c.name, body[0], codes)
		}
		first, body, err = c.read(d)
	}
	if err == nil {
		c.p.fail("%s: got %02x %x, want the end of the connection", c.name, first, body)
	}
	if err != io.EOF {
		c.p.fail("%s: the connection is open", c.name)
	}
}

// refused expects that CONNECT is refused. A CONNACK may say so, with one of codes.
func (c *conn) refused(codes ...byte) {
	first, body, err := c.read(c.p.s.patience)
	if err == nil && first == 0x20 && len(body) >= 2 {
		if body[0] != 0 || !slices.Contains(codes, body[1]) {
			c.p.fail("%s: got CONNACK %x, want one of the codes %x", c.name, body, codes)
		}
		first, body, err = c.read(c.p.s.patience)
	}
	if err == nil {
		c.p.fail("%s: got %02x %x, want the end of the connection", c.name, first, body)
	}
	if err != io.EOF {
		c.p.fail("%s: the connection is open", c.name)
	}
}

// drop ends the connection without a DISCONNECT.
func (c *conn) drop() {
	fmt.Fprintf(&c.p.log, "%s drops\n", c.name)
	c.net.Close()
}

// leave says DISCONNECT and waits for the end.
func (c *conn) leave() {
	c.send("\xe0\x00")
	c.closed()
}

// id is a packet identifier that was not used yet.
func (c *conn) id() uint16 {
	c.next++
	return c.next
}

// subscribe subscribes to filters with the same options, and expects to be granted them.
func (c *conn) subscribe(options byte, filters ...string) {
	id, pairs, codes := c.id(), "", ""
	for _, f := range filters {
		pairs += filter(f, options)
		codes += string([]byte{options & 3})
	}
	c.send(subscribe(c.v, id, "", pairs))
	c.suback(id, codes)
}

// suback expects a SUBACK with these codes.
func (c *conn) suback(id uint16, codes string) {
	first, body := c.packet()
	got := c.codes(body)
	if first != 0x90 || len(body) < 2 || body[:2] != u16(id) || got != codes {
		c.p.fail("%s: got %02x %x, want a SUBACK for %d with the codes %x", c.name, first, body, id, codes)
	}
}

// codes are those of a SUBACK or UNSUBACK.
func (c *conn) codes(body string) string {
	if len(body) < 2 {
		return ""
	}
	if c.v == v5 {
		_, rest, _ := cutCounted(body[2:])
		return rest
	}
	return body[2:]
}

// publish sends a message and goes through what its QoS asks for.
func (c *conn) publish(m message) {
	if m.qos > 0 {
		m.id = c.id()
	}
	c.send(m.bytes(c.v))
	switch m.qos {
	case 1:
		c.ack(0x40, m.id, 0, 0x10)
	case 2:
		c.ack(0x50, m.id, 0, 0x10)
		c.send(ack(0x62, m.id))
		c.ack(0x70, m.id, 0)
	}
}

// receive expects a message with the topic, payload, QoS, DUP and RETAIN of want, and gives it with its identifier.
func (c *conn) receive(want message) message {
	m := c.message()
	if m.topic != want.topic || m.payload != want.payload || m.qos != want.qos || m.dup != want.dup || m.retain != want.retain {
		c.p.fail("%s: got %v, want %v", c.name, m, want)
	}
	if m.qos > 0 && m.id == 0 {
		c.p.fail("%s: %v has no packet identifier", c.name, m)
	}
	return m
}

// accept is receive, with the acknowledgements of a receiver.
func (c *conn) accept(want message) message {
	m := c.receive(want)
	switch m.qos {
	case 1:
		c.send(ack(0x40, m.id))
	case 2:
		c.send(ack(0x50, m.id))
		c.pubrel(m.id)
		c.send(ack(0x70, m.id))
	}
	return m
}

// pubrel expects PUBREL for an identifier, and keeps the messages that come before it.
func (c *conn) pubrel(id uint16) {
	var before string
	for {
		first, body := c.packet()
		c.buf = append([]byte(packet(first, body)), c.buf...)
		if first>>4 != 3 {
			break
		}
		before += string(c.buf[:len(packet(first, body))])
		c.buf = c.buf[len(packet(first, body)):]
	}
	c.ack(0x62, id, 0)
	c.buf = append([]byte(before), c.buf...)
}

// number is what a property of CONNACK says, or def.
func (c *conn) number(id byte, def uint32) uint32 {
	value, ok := property(c.props, id)
	if !ok {
		return def
	}
	n := uint32(0)
	for _, b := range []byte(value) {
		n = n<<8 | uint32(b)
	}
	return n
}

// end closes what the case has left open.
func (p *play) end() {
	for _, c := range p.conns {
		c.net.Close()
	}
}

// transcript is what was said, for a report of a failure.
func (p *play) transcript() string { return string(bytes.TrimSpace([]byte(p.log.String()))) }

// peek is the QoS of the message that comes next, which stays.
func (c *conn) peek() byte {
	first, body := c.packet()
	c.buf = append([]byte(packet(first, body)), c.buf...)
	return first >> 1 & 3
}
