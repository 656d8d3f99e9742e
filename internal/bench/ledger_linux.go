package bench

import (
	"bytes"
	"encoding/binary"

	"github.com/nightjarmq/nightjar/packet"
)

// Each payload begins with what is needed to check it: the run, the stream, the number in the stream, and the time at
// which it was sent. The rest is filled with a pattern that is checked too.
const (
	atRun     = 0
	atStream  = 8
	atNumber  = 12
	atTime    = 16
	checkSize = smallestPayload
)

// stream is the messages that one link publishes to one topic.
type stream struct {
	from   *link
	topic  string
	qos    byte
	copies int // how often each message should arrive

	frame     []byte // the next PUBLISH; only numbers change
	idAt      int    // of the packet identifier; 0: none
	payloadAt int

	sent, acked, arrived int
	refused              int
	limit                int // publish so many
	queued               bool
}

// receipt is what a receiver has had of a stream.
type receipt struct {
	had  []uint64 // a bit for each number; receivers that share a subscription share it
	next int      // numbers below have been passed
}

// ledger numbers all messages of a run and checks what comes back.
type ledger struct {
	run     uint64
	e       *engine
	fill    []byte
	window  int
	streams []*stream
	ready   []*stream // may have room in their windows

	expected, delivered, acked  int64
	duplicated, disordered, bad int64
	resent, refused             int64
	timing                      bool
	latency, ackLatency, late   histogram
}

func newLedger(e *engine, run uint64, window, size int) *ledger {
	fill := make([]byte, max(size-checkSize, 0))
	for i := range fill {
		fill[i] = 'a' + byte(i%26)
	}
	return &ledger{e: e, run: run, window: window, fill: fill}
}

// stream adds a stream.
func (g *ledger) stream(from *link, topic string, qos byte, retain bool, copies int) *stream {
	s := &stream{from: from, topic: topic, qos: qos, copies: copies}
	payload := make([]byte, checkSize, checkSize+len(g.fill))
	binary.BigEndian.PutUint64(payload[atRun:], g.run)
	binary.BigEndian.PutUint32(payload[atStream:], uint32(len(g.streams)))
	payload = append(payload, g.fill...)
	p := packet.Publish{QoS: qos, Retain: retain, Topic: []byte(topic), Payload: payload}
	if qos > 0 {
		p.PacketID = 1
	}
	s.frame = p.Append(nil, from.connect.Version)
	s.payloadAt = len(s.frame) - len(payload)
	if qos > 0 {
		h, _, _ := packet.ReadHeader(s.frame)
		s.idAt = h.Size + 2 + len(topic)
	}
	g.streams = append(g.streams, s)
	from.qos = qos
	return s
}

// acknowledges has the acknowledgements of l counted for its only stream.
func (g *ledger) acknowledges(l *link, s *stream) {
	l.onAck = func(_ *link, id uint16, code packet.Code) {
		if l.sentAt != nil && g.timing {
			g.ackLatency.add(g.e.now - l.sentAt[id])
		}
		s.acked++
		g.acked++
		if code.Failed() {
			s.refused++
			g.refused++
		}
		g.enqueue(s)
	}
}

// receives has l receive the streams first to first+n-1, with up to total messages each.
func (g *ledger) receives(l *link, first, n, total int) {
	l.first = first
	l.receipts = make([]receipt, n)
	words := (total + 63) / 64
	bits := make([]uint64, n*words)
	for i := range l.receipts {
		l.receipts[i].had = bits[i*words : (i+1)*words]
	}
	l.onMessage = g.arrived
}

// shares has l receive what of has not received.
func (g *ledger) shares(l, of *link) {
	l.first, l.onMessage = of.first, g.arrived
	l.receipts = append([]receipt(nil), of.receipts...)
}

// arrived checks a message and enters it.
func (g *ledger) arrived(l *link, topic, payload []byte, flags byte) {
	if len(payload) != checkSize+len(g.fill) || binary.BigEndian.Uint64(payload) != g.run {
		g.bad++
		return
	}
	id := int(binary.BigEndian.Uint32(payload[atStream:]))
	n := int(binary.BigEndian.Uint32(payload[atNumber:]))
	i := id - l.first
	if i < 0 || i >= len(l.receipts) || id >= len(g.streams) {
		g.bad++
		return
	}
	s, r := g.streams[id], &l.receipts[i]
	if n >= s.sent || flags>>1&3 != s.qos || s.topic != string(topic) || !bytes.Equal(payload[checkSize:], g.fill) {
		g.bad++
		return
	}
	if flags&8 != 0 { // DUP
		g.resent++
	}
	if r.had[n>>6]&(1<<(n&63)) != 0 {
		g.duplicated++
		return
	}
	r.had[n>>6] |= 1 << (n & 63)
	if n < r.next {
		g.disordered++
	}
	r.next = max(r.next, n+1)
	s.arrived++
	g.delivered++
	if g.timing {
		g.latency.add(g.e.now - int64(binary.BigEndian.Uint64(payload[atTime:])))
	}
	g.enqueue(s)
}

func (g *ledger) enqueue(s *stream) {
	if !s.queued && s.sent < s.limit {
		s.queued = true
		g.ready = append(g.ready, s)
	}
}

// open is how many messages of s are on their way.
func (s *stream) open() int {
	n := s.sent - s.arrived/s.copies
	if s.qos > 0 {
		n = max(n, s.sent-s.acked)
	}
	return n
}

// fillWindows publishes what the windows allow.
func (g *ledger) fillWindows() {
	if len(g.ready) == 0 {
		return
	}
	now := g.e.clock()
	for _, s := range g.ready {
		s.queued = false
		w := g.window
		if s.qos > 0 {
			w = min(w, s.from.window)
		}
		for n := min(s.limit-s.sent, w-s.open()); n > 0 && s.from.state == ready; n-- {
			g.publish(s, now)
		}
	}
	g.ready = g.ready[:0]
}

// publish sends the next message of s with the given time.
func (g *ledger) publish(s *stream, at int64) {
	if s.idAt > 0 {
		id := s.from.newID()
		binary.BigEndian.PutUint16(s.frame[s.idAt:], id)
		if s.from.sentAt != nil {
			s.from.sentAt[id] = at
		}
	}
	p := s.frame[s.payloadAt:]
	binary.BigEndian.PutUint32(p[atNumber:], uint32(s.sent))
	binary.BigEndian.PutUint64(p[atTime:], uint64(at))
	s.from.send(s.frame)
	s.sent++
	g.expected += int64(s.copies)
}

// allow lets each stream publish n more messages.
func (g *ledger) allow(n int) {
	for _, s := range g.streams {
		s.limit += n
		g.enqueue(s)
	}
}

// settled says that everything was sent, acknowledged and delivered.
func (g *ledger) settled() bool {
	if g.delivered < g.expected {
		return false
	}
	for _, s := range g.streams {
		if s.sent < s.limit || s.qos > 0 && s.acked < s.sent {
			return false
		}
	}
	return true
}

// sent counts what was published.
func (g *ledger) sent() (sent, unacked int64) {
	for _, s := range g.streams {
		sent += int64(s.sent)
		if s.qos > 0 {
			unacked += int64(s.sent - s.acked)
		}
	}
	return sent, unacked
}
