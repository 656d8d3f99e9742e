package bench

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/nightjarmq/nightjar/packet"
)

type linkState uint8

const (
	dialling linkState = iota
	greeting           // CONNECT is on its way
	subscribing
	ready
	closed
)

// link is one client connection. Everything in it belongs to the goroutine of the engine.
type link struct {
	e     *engine
	fd    int
	state linkState
	dirty bool // in the engine's list of links to flush

	connect   packet.Connect
	filters   []packet.SubscribeFilter
	confirmed int // of filters
	subscribe uint16

	in   []byte // the beginning of a packet
	out  []byte // packets that were not sealed yet
	wire []byte // bytes for the socket; wire[sent:] did not leave yet
	sent int

	ws   *wsFraming
	tls  *tls.Conn
	pipe *tlsPipe

	window  int  // Receive Maximum of the broker
	qos     byte // of what it publishes
	lastID  uint16
	unacked idSet            // in use
	half    idSet            // in use, and the broker has sent PUBREC
	sentAt  map[uint16]int64 // when each packet was sent; nil: nobody asks

	onMessage func(l *link, topic, payload []byte, flags byte) // flags are those of PUBLISH
	onAck     func(l *link, id uint16, code packet.Code)
	onReady   func(l *link)
	onEnd     func(l *link, err error)

	receipts []receipt // by stream, from first
	first    int
}

var errPeer = errors.New("the broker does not follow the protocol")

// staysAway makes the session of l one that outlives its connections.
func (l *link) staysAway() {
	l.connect.CleanStart = false
	if l.connect.Version >= packet.V5 {
		l.connect.SessionExpiry = packet.Some(uint32(86400))
	}
}

// established is called when bytes can be exchanged.
func (l *link) established() {
	l.state = greeting
	l.out = l.connect.Append(l.out, l.connect.Version)
	l.e.touch(l)
}

// send queues whole packets.
func (l *link) send(p []byte) {
	l.out = append(l.out, p...)
	l.e.touch(l)
}

// fail closes the link after an error.
func (l *link) fail(err error) {
	if l.state == closed {
		return
	}
	l.shut()
	if l.onEnd != nil {
		l.onEnd(l, err)
	}
}

func (l *link) shut() {
	l.state = closed
	l.e.drop(l)
	l.in, l.out, l.wire, l.unacked, l.half, l.sent = nil, nil, nil, nil, nil, 0
}

// disconnect says goodbye and closes.
func (l *link) disconnect() {
	if l.state != closed && l.state != dialling {
		l.out = (&packet.Disconnect{}).Append(l.out, l.connect.Version)
		l.flush()
	}
	if l.state != closed {
		l.shut()
	}
}

// seal turns queued packets into bytes for the wire.
func (l *link) seal() error {
	if len(l.out) == 0 {
		return nil
	}
	if l.sent == len(l.wire) {
		l.wire, l.sent = l.wire[:0], 0
	}
	p := l.out
	if l.ws != nil {
		p = l.ws.frame(p)
	}
	switch {
	case l.tls != nil:
		if _, err := l.tls.Write(p); err != nil {
			return err
		}
		l.wire = append(l.wire, l.pipe.sealed...)
		l.pipe.sealed = l.pipe.sealed[:0]
	case len(l.wire) == 0 && l.ws == nil:
		l.wire, l.out = l.out, l.wire
	default:
		l.wire = append(l.wire, p...)
	}
	l.out = l.out[:0]
	return nil
}

// flush writes what the socket takes.
func (l *link) flush() {
	if l.state == closed || l.state == dialling {
		return
	}
	if err := l.seal(); err != nil {
		l.fail(fmt.Errorf("encrypt: %w", err))
		return
	}
	for l.sent < len(l.wire) {
		n, err := sysWrite(l.fd, l.wire[l.sent:])
		if err == errAgain {
			return // see engine.writable
		}
		if err != nil {
			l.fail(fmt.Errorf("write: %w", err))
			return
		}
		l.sent += n
	}
	if l.idle() {
		l.out, l.wire, l.sent = nil, nil, 0 // many links are silent most of the time
	}
}

// idle says that a link is not worth keeping memory for: what it sent was small.
func (l *link) idle() bool { return l.e.frugal && cap(l.wire) <= 4096 }

// readable takes what the socket has, the end of the stream included: no other event will tell of it.
func (l *link) readable(ended bool) {
	var src io.Reader = (*socket)(l)
	if l.tls != nil {
		src = l.tls
	}
	for l.state != closed {
		n, err := src.Read(l.e.buf)
		if n > 0 {
			l.input(l.e.buf[:n])
		}
		switch {
		case errors.Is(err, errAgain):
			return
		case err == io.EOF:
			l.fail(errors.New("the broker closed the connection"))
		case err != nil:
			l.fail(fmt.Errorf("read: %w", err))
		case l.tls == nil && n < len(l.e.buf) && !ended:
			return
		}
	}
}

func (l *link) input(b []byte) {
	if l.ws == nil {
		l.parse(b)
	} else if err := l.ws.feed(l, b); err != nil {
		l.fail(err)
	}
}

// parse handles complete packets and keeps the rest.
func (l *link) parse(b []byte) {
	kept := len(l.in) > 0
	if kept {
		l.in = append(l.in, b...)
		b = l.in
	}
	for l.state != closed {
		h, ok, err := packet.ReadHeader(b)
		if err != nil {
			l.fail(fmt.Errorf("%w: %w", errPeer, err))
			return
		}
		end := h.Size + h.Remaining
		if !ok || len(b) < end {
			break
		}
		if err := l.packet(h, b[h.Size:end]); err != nil {
			l.fail(err)
			return
		}
		b = b[end:]
	}
	switch {
	case l.state == closed:
	case len(b) == 0:
		l.in = l.in[:0]
	case kept:
		l.in = l.in[:copy(l.in, b)]
	default:
		l.in = append(l.in[:0], b...)
	}
}

// packet handles one packet.
func (l *link) packet(h packet.Header, body []byte) error {
	v := l.connect.Version
	switch h.Type {
	case packet.TypePublish:
		return l.publish(h.Flags, body)
	case packet.TypePuback, packet.TypePubcomp, packet.TypePubrec, packet.TypePubrel:
		id, code, err := readAck(h, body, v)
		if err != nil {
			return err
		}
		return l.acknowledgement(h.Type, id, code)
	case packet.TypeConnack:
		return l.connack(h, body)
	case packet.TypeSuback:
		return l.suback(h, body)
	case packet.TypeDisconnect:
		var d packet.Disconnect
		if err := d.Decode(h.Flags, body, v); err != nil {
			return err
		}
		return fmt.Errorf("the broker disconnects: %v", d.Code)
	}
	return nil
}

// acknowledgement goes on with a message in either direction, if it is time for the packet.
func (l *link) acknowledgement(t packet.Type, id uint16, code packet.Code) error {
	switch {
	case t == packet.TypePubrel:
		l.ack(packet.TypePubcomp, id)
		return nil
	case !l.unacked.has(id):
		return fmt.Errorf("%w: it acknowledges packet %d, which was not sent", errPeer, id)
	case t == packet.TypePuback && l.qos != 1, t == packet.TypePubrec && l.qos != 2, t == packet.TypePubcomp && !l.half.has(id):
		return fmt.Errorf("%w: %v is no answer to packet %d, of QoS %d", errPeer, t, id, l.qos)
	case t == packet.TypePubrec && !code.Failed():
		l.half.put(id)
		l.ack(packet.TypePubrel, id)
		return nil
	}
	l.unacked.take(id)
	l.half.take(id)
	if l.onAck != nil {
		l.onAck(l, id, code)
	}
	return nil
}

// readAck reads any of the four acknowledgements.
func readAck(h packet.Header, body []byte, v packet.Version) (uint16, packet.Code, error) {
	if id, code, ok := packet.ReadAck(body, v); ok {
		return id, code, nil
	}
	p, err := packet.Decode(h, body, v)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", errPeer, err)
	}
	switch p := p.(type) {
	case *packet.Puback:
		return p.PacketID, p.Code, nil
	case *packet.Pubrec:
		return p.PacketID, p.Code, nil
	case *packet.Pubrel:
		return p.PacketID, p.Code, nil
	case *packet.Pubcomp:
		return p.PacketID, p.Code, nil
	}
	return 0, 0, fmt.Errorf("%w: %v is no acknowledgement", errPeer, h.Type)
}

func (l *link) ack(t packet.Type, id uint16) {
	l.out = packet.AppendAck(l.out, t, id)
	l.e.touch(l)
}

// publish acknowledges a message and hands it on.
func (l *link) publish(flags byte, body []byte) error {
	if len(body) < 2 {
		return fmt.Errorf("%w: malformed PUBLISH", errPeer)
	}
	at := 2 + int(binary.BigEndian.Uint16(body))
	qos := flags >> 1 & 3
	if at+2 > len(body) && (qos > 0 || at > len(body)) {
		return fmt.Errorf("%w: malformed PUBLISH", errPeer)
	}
	topic := body[2:at]
	if qos > 0 {
		t := packet.TypePuback
		if qos == 2 {
			t = packet.TypePubrec
		}
		l.ack(t, binary.BigEndian.Uint16(body[at:]))
		at += 2
	}
	if l.connect.Version >= packet.V5 {
		size, n, err := packet.ReadVarint(body[at:])
		if err != nil || n == 0 || at+n+int(size) > len(body) {
			return fmt.Errorf("%w: malformed properties of PUBLISH", errPeer)
		}
		at += n + int(size)
	}
	if l.onMessage != nil {
		l.onMessage(l, topic, body[at:], flags)
	}
	return nil
}

func (l *link) connack(h packet.Header, body []byte) error {
	var ack packet.Connack
	if err := ack.Decode(h.Flags, body, l.connect.Version); err != nil {
		return err
	}
	if ack.Code != packet.Success {
		return fmt.Errorf("the broker refuses the connection: %v", ack.Code)
	}
	l.window = int(ack.ReceiveMaximum.Or(65535))
	l.state = subscribing
	l.subscribeMore()
	return nil
}

const filtersPerPacket = 100

// subscribeMore sends the next SUBSCRIBE, or says that the link is ready.
func (l *link) subscribeMore() {
	if l.confirmed == len(l.filters) {
		l.state, l.filters = ready, nil
		l.onReady(l)
		return
	}
	l.subscribe++
	s := packet.Subscribe{
		PacketID: l.subscribe,
		Filters:  l.filters[l.confirmed:min(l.confirmed+filtersPerPacket, len(l.filters))],
	}
	l.out = s.Append(l.out, l.connect.Version)
	l.e.touch(l)
}

func (l *link) suback(h packet.Header, body []byte) error {
	var ack packet.Suback
	if err := ack.Decode(h.Flags, body, l.connect.Version); err != nil {
		return err
	}
	asked := l.filters[l.confirmed:]
	if l.state != subscribing || ack.PacketID != l.subscribe || len(ack.Codes) > len(asked) {
		return fmt.Errorf("%w: a SUBACK that was not asked for", errPeer)
	}
	for i, code := range ack.Codes {
		switch {
		case code.Failed():
			return fmt.Errorf("the broker refuses the subscription: %v", code)
		case byte(code) != asked[i].QoS:
			return fmt.Errorf("the broker grants QoS %d to a subscription of QoS %d", code, asked[i].QoS)
		}
	}
	l.confirmed += len(ack.Codes)
	l.subscribeMore()
	return nil
}

// newID returns a packet identifier that is not in use. The caller keeps to the window, so that there is one.
func (l *link) newID() uint16 {
	for {
		l.lastID++
		if l.lastID != 0 && !l.unacked.has(l.lastID) {
			l.unacked.put(l.lastID)
			return l.lastID
		}
	}
}

// idSet is a set of packet identifiers, a bit each; nil before the first.
type idSet []uint64

func (s idSet) has(id uint16) bool { return s != nil && s[id>>6]&(1<<(id&63)) != 0 }

func (s *idSet) put(id uint16) {
	if *s == nil {
		*s = make(idSet, 1<<16/64)
	}
	(*s)[id>>6] |= 1 << (id & 63)
}

func (s idSet) take(id uint16) {
	if s != nil {
		s[id>>6] &^= 1 << (id & 63)
	}
}
