package session

import (
	"math"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/packet"
)

// Verdict is what becomes of a message that is offered to a session.
type Verdict uint8

const (
	Transmit  Verdict = iota + 1 // send it now, with the identifier given
	Queued                       // the session keeps it until the window opens
	Store                        // put it into the store without an identifier
	QueueFull                    // dropped: the limit of the queue
)

// Offer hands a message of QoS 1 or 2 to the session. room says whether the
// connection can take it now. With Transmit the session has put it into the
// window under the identifier returned, and the caller sends it, with the
// Topic Alias of [Session.Alias] if any. e is copied.
//
// A message is sent at once only if nothing waits before it: messages of a
// topic keep their order. [MQTT-4.6.0-6]
// [MQTT-4.6.0-5] [MQTT-4.5.0-1]
func (s *Session) Offer(e *Entry, room bool) (id uint16, v Verdict) {
	s.begin()
	if room && s.Open() {
		return s.launch(e).PacketID, Transmit
	}
	if s.full(e.Message.Size()) {
		return 0, QueueFull
	}
	s.bytes += e.Message.Size()
	if s.p.Durable {
		s.offered++
		return 0, Store
	}
	s.p.Budget.Add(e.Message.Size() + entryBytes)
	s.queue.push(e)
	return 0, Queued
}

// open reports whether the client's Receive Maximum allows one more.
// [MQTT-3.3.4-9] [MQTT-4.9.0-2]
func (s *Session) open() bool {
	return s.flying < int(s.p.SendMaximum) && s.win.live < mostInflight && s.light()
}

// light reports whether the bytes under way allow one more message.
func (s *Session) light() bool { return s.p.SendBytes == 0 || s.aloft < s.p.SendBytes }

// launch puts e into the window as sent on this connection.
// [MQTT-4.3.2-1] [MQTT-4.3.3-1]
func (s *Session) launch(e *Entry) *Entry {
	e = s.win.add(e)
	s.fly(e)
	return e
}

func (s *Session) fly(e *Entry) {
	e.flying, e.size = true, int32(e.Message.Size())
	s.flying++
	s.aloft += int(e.size)
}

// land takes e out of the window.
func (s *Session) land(e *Entry) {
	if e.flying {
		s.flying--
		s.aloft -= int(e.size)
	}
	s.win.remove(e.PacketID)
}

// Full reports whether the queue is at its limit. What one SUBSCRIBE brings may
// exceed it, but not what the next one brings.
func (s *Session) Full() bool { return s.full(0) }

func (s *Session) full(size int) bool {
	n, _ := s.Waiting()
	return s.outbound != nil && (s.p.QueueMessages > 0 && n >= s.p.QueueMessages ||
		s.p.QueueBytes > 0 && n > 0 && s.bytes+size > s.p.QueueBytes ||
		!s.p.Durable && n > 0 && s.held()+size > s.p.Budget.Share(math.MaxInt))
}

// Oldest returns the store's number of the message that has waited longest. It
// reports false when there is none, or only the store has it; see Backlog.
func (s *Session) Oldest() (seq uint64, ok bool) {
	if s.outbound == nil {
		return 0, false
	}
	e := s.first().queue.front()
	if e == nil {
		return 0, false
	}
	return e.Seq, true
}

// DropOldest takes the message of Oldest out of the queue.
func (s *Session) DropOldest() {
	l := s.first()
	size := l.queue.front().Message.Size()
	s.bytes -= size
	if !s.p.Durable {
		s.p.Budget.Add(-size - entryBytes)
	}
	l.queue.pop()
	s.settle()
}

// Backlog reports whether the message that has waited longest is one that only
// the store has: the first behind the number.
func (s *Session) Backlog() (behind uint64, ok bool) {
	if s.outbound == nil {
		return 0, false
	}
	l := s.first()
	return l.cursor, l.queue.n == 0 && l.backlog > 0
}

// DropStored tells that the message of Backlog is no longer in the store.
func (s *Session) DropStored(size int) {
	s.first().backlog--
	s.bytes -= size
	s.settle()
}

// Withdraw takes back an offer whose verdict was Transmit or Store and whose
// submission to the store failed.
func (s *Session) Withdraw(id uint16, size int) {
	if id == 0 {
		s.offered--
		s.bytes -= size
		return
	}
	if e := s.sent(id); e != nil {
		s.land(e)
	}
}

// Filed tells that a message whose verdict was Store is in the store now.
func (s *Session) Filed() {
	s.offered--
	s.backlog++
}

// Stored tells the store's number of a message in the window.
func (s *Session) Stored(id uint16, seq uint64) {
	if e := s.sent(id); e != nil {
		e.Seq = seq
	}
}

// Cursor returns the number behind which the store is asked for more.
func (s *Session) Cursor() uint64 {
	if s.outbound == nil {
		return 0
	}
	return s.turn().cursor
}

// Loaded appends messages that were read from the store behind Cursor. more is
// false when the store has no more: that settles the count, which may have been
// too high.
func (s *Session) Loaded(entries []Entry, more bool) {
	s.begin()
	l := s.turn()
	for i := range entries {
		if s.past != nil && l == &s.past.lane && entries[i].Seq > s.past.last {
			more = false // it came later, and has its own lane
			break
		}
		l.queue.push(&entries[i])
		l.cursor = entries[i].Seq
		l.backlog--
	}
	if l.backlog = max(0, l.backlog); !more {
		l.backlog = 0
	}
	s.settle()
	if n, _ := s.Waiting(); n == 0 {
		s.bytes = 0
	}
}

// Stored is what waits in the store for a session that is resumed.
type Stored struct {
	Messages, Bytes int
	Last            uint64 // none of them has a higher Seq, and all that come later have
}

// Resume makes s the state of a session that goes on: incoming are the QoS 2
// identifiers that the client has open; inflight what was sent and not fully
// acknowledged, in order; waiting what the store has behind them. The
// PUBRELs are sent again at once, since they wait for no quota, and the
// unacknowledged messages by Pump, with their identifiers. [MQTT-4.4.0-1]
// [MQTT-3.3.4-10]
func (s *Session) Resume(incoming []uint16, inflight []Entry, released []bool, waiting Stored, fx *Effects) {
	for _, id := range incoming {
		s.openIncoming(id, false)
	}
	if len(inflight) == 0 && waiting.Messages == 0 && !s.p.LiveFirst {
		return
	}
	s.begin()
	s.backlog, s.bytes = waiting.Messages, waiting.Bytes
	for i := range inflight {
		inflight[i].released = released[i]
	}
	if s.p.LiveFirst {
		bySending(inflight)
		s.past, s.lane = &past{lane: s.lane, last: waiting.Last}, lane{cursor: waiting.Last}
		s.settle()
	}
	for i := range inflight {
		e := &inflight[i]
		if e.released {
			e.QoS = 2 // of a message that has been received a store keeps the identifier only
		}
		s.win.put(e)
		s.win.next = e.PacketID
		if e.released {
			fx.Out = packet.AppendAck(fx.Out, packet.TypePubrel, e.PacketID)
		} else {
			s.again = append(s.again, e.PacketID)
		}
	}
}

// repeat sends again what an earlier connection has left, in order, while the
// client's Receive Maximum and limit allow: it may be lower now.
// [MQTT-3.3.4-9] [MQTT-4.6.0-1]
func (s *Session) repeat(limit int, now int64, fx *Effects) {
	for len(s.again) > 0 && s.flying < int(s.p.SendMaximum) && s.light() && len(fx.Out) < limit {
		e := s.win.get(s.again[0])
		s.again = s.again[1:]
		if e == nil || e.released {
			continue // acknowledged before it was sent again [MQTT-4.3.3-6]
		}
		s.fly(e)
		if !s.write(e, true, now, fx) {
			s.finish(e, fx)
		}
	}
	if len(s.again) == 0 {
		s.again = nil
	}
}

// Pump sends what is to be sent again and what waits, while the window is open
// and fewer than room bytes have gone into fx.Out. It sets fx.Refill when the
// store should be asked for more; the caller then calls Loaded and Pump again.
func (s *Session) Pump(room int, now int64, fx *Effects) {
	if s.outbound == nil {
		return
	}
	limit := len(fx.Out) + room
	s.repeat(limit, now, fx)
	for len(s.again) == 0 && s.open() && len(fx.Out) < limit && !s.reached() {
		l := s.turn()
		if l != &s.lane && s.past.held(s, now, fx) {
			return
		}
		e := l.queue.front()
		if e == nil {
			if l.backlog > 0 {
				fx.Refill = s.refill()
			}
			return
		}
		s.bytes -= e.Message.Size()
		if !s.p.Durable {
			s.p.Budget.Add(-e.Message.Size() - entryBytes)
		}
		sent := s.transmit(l, e, now, fx)
		l.queue.pop()
		if l != &s.lane {
			if sent {
				s.past.spend(s, now)
			}
			s.settle()
		}
	}
}

// refill is how many messages to load from the store: more than the window
// takes now, so that a long queue is not read one message at a time, but not so
// many that large ones fill the memory.
func (s *Session) refill() int {
	n, _ := s.Waiting()
	average := s.bytes/n + 1
	return min(max(refillBytes/average, 1), maxRefill)
}

// What is loaded from the store at once is bounded by both.
const (
	maxRefill   = 256
	refillBytes = 256 << 10
)

// transmit sends the first of the lane, unless something speaks against it, and
// reports whether it did.
func (s *Session) transmit(l *lane, e *Entry, now int64, fx *Effects) bool {
	doubted := l.doubted > 0
	if doubted {
		l.doubted--
	}
	if e.Message.Expired(now) || s.stale(e, now) { // [MQTT-3.3.2-5] in the queue only: what was sent goes on [MQTT-4.3.3-7] [MQTT-4.3.3-13]
		fx.Expired++
		s.change(fx, Done, e.Seq, 0)
		return false
	}
	if doubted && fx.Guard != nil && !fx.Guard.MaySend(e.Message.Topic) {
		fx.Refused++
		s.change(fx, Done, e.Seq, 0)
		return false
	}
	seq := e.Seq
	if e.QoS == 0 { // its delivery ends with sending it
		sent := s.write(e, false, now, fx)
		s.change(fx, Done, seq, 0)
		return sent
	}
	e = s.launch(e)
	if !s.write(e, false, now, fx) {
		s.land(e)
		s.change(fx, Done, seq, 0)
		return false
	}
	s.change(fx, Sent, seq, e.PacketID)
	return true
}

// write writes e for this connection, with a Topic Alias if the client takes
// them. It reports false, and nothing was written, if the packet is too large
// for the client or for the protocol. [MQTT-3.1.2-24] [MQTT-3.1.2-25]
// dup says whether it was sent before, whatever the publisher's PUBLISH said. [MQTT-3.3.1-1]
// [MQTT-3.3.1-3] [MQTT-4.3.2-2] [MQTT-4.3.3-2]
func (s *Session) write(e *Entry, dup bool, now int64, fx *Effects) bool {
	c := message.Copy{
		Version: s.p.Version, QoS: e.QoS, Dup: dup, Retain: e.Retain, PacketID: e.PacketID, IDs: e.IDs, Mount: s.p.Mount,
	}
	if s.p.QueueAge > 0 {
		c.IDs = nil
	}
	c.Alias, c.NoTopic = s.Alias(e.Message.Topic)
	start := len(fx.Out)
	fx.Out = e.Message.Append(fx.Out, &c, now)
	if c.Alias != 0 && !s.fits(len(fx.Out)-start) { // it may without the alias
		if !c.NoTopic {
			s.Unalias(e.Message.Topic)
		}
		c.Alias, c.NoTopic = 0, false
		fx.Out = e.Message.Append(fx.Out[:start], &c, now)
	}
	if s.fits(len(fx.Out) - start) {
		fx.Sent++
		fx.Payload += len(e.Message.Payload)
		return true
	}
	fx.Out = fx.Out[:start]
	fx.TooBig++
	return false
}

// fits reports whether a packet of n bytes may be sent to the client; one of 0
// bytes is larger than the protocol can say.
func (s *Session) fits(n int) bool {
	return n > 0 && (s.p.MaximumPacket == 0 || n <= int(s.p.MaximumPacket))
}

// Puback handles the client's PUBACK. With a code that refuses the message the
// delivery has ended as well. [MQTT-4.3.2-3] [MQTT-4.4.0-2]
func (s *Session) Puback(id uint16, fx *Effects) {
	e := s.sent(id)
	if e == nil || e.QoS != 1 { // [MQTT-4.3.2-3]
		return // a stray acknowledgement hurts nobody
	}
	s.finish(e, fx)
}

// Pubrec handles the client's PUBREC. [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.4.0-2]
func (s *Session) Pubrec(id uint16, code packet.Code, fx *Effects) {
	e := s.sent(id)
	switch {
	case e == nil || e.QoS != 2:
		fx.Out = s.appendAck(fx.Out, packet.TypePubrel, id, packet.PacketIdentifierNotFound)
	case code >= packet.UnspecifiedError:
		s.finish(e, fx)
	default:
		if !e.released {
			e.released, e.Message, e.IDs = true, nil, nil
			s.change(fx, Received, e.Seq, id)
		}
		fx.Out = s.appendAck(fx.Out, packet.TypePubrel, id, packet.Success)
	}
}

// Pubcomp handles the client's PUBCOMP.
// [MQTT-4.3.3-5]
func (s *Session) Pubcomp(id uint16, fx *Effects) {
	if e := s.sent(id); e != nil && e.released {
		s.finish(e, fx)
	}
}

// sent returns the message that was sent with the identifier and not fully acknowledged, nil if there is none.
func (s *Session) sent(id uint16) *Entry {
	if s.outbound == nil {
		return nil
	}
	return s.win.get(id)
}

func (s *Session) finish(e *Entry, fx *Effects) {
	s.change(fx, Done, e.Seq, e.PacketID)
	s.land(e)
}

// appendAck writes an acknowledgement; a code other than Success exists since
// 5.0 only.
// It has the identifier of its message, and no Reason String or User Property, so that it fits every
// client; who refuses a message may add why. [MQTT-2.2.1-5] [MQTT-3.1.2-29] [MQTT-3.4.2-3] [MQTT-3.5.2-3]
// [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3]
func (s *Session) appendAck(dst []byte, t packet.Type, id uint16, code packet.Code) []byte {
	if code == packet.Success || s.p.Version < packet.V5 {
		return packet.AppendAck(dst, t, id)
	}
	return append(dst, byte(t)<<4|ackFlags(t), 3, byte(id>>8), byte(id), byte(code))
}

func ackFlags(t packet.Type) byte {
	if t == packet.TypePubrel {
		return 2 // [MQTT-3.6.1-1]
	}
	return 0
}

// Missed counts a message that was offered to an earlier connection and went to
// the store since: it waits there.
func (s *Session) Missed(size int) {
	s.begin()
	s.backlog++
	s.bytes += size
}

// Open reports whether the next message of QoS 1 or 2 would be sent at once, as
// far as window and queue go.
func (s *Session) Open() bool {
	if s.outbound == nil {
		return true
	}
	return s.open() && len(s.again) == 0 && s.queue.n+s.backlog+s.offered == 0
}

// End is the place in the queue behind all that waits in it now.
func (s *Session) End() int {
	if s.outbound == nil {
		return 0
	}
	return s.queue.taken + s.queue.n
}

// HoldBehind makes Pump stop at a place that End gave: there the caller sends
// messages by Insert. Release ends that.
func (s *Session) HoldBehind(place int) {
	s.begin()
	s.hold, s.place = true, place
}

// Release lets Pump send all that waits.
func (s *Session) Release() {
	if s.outbound != nil {
		s.hold = false
	}
}

// reached reports whether all that waits before the place has been sent.
func (s *Session) reached() bool { return s.hold && s.queue.taken >= s.place }

// Insert puts a message at the place where Pump stops into the window, and
// returns its identifier. It reports false if it is not its turn yet, or the
// window is full. [MQTT-3.3.4-9]
func (s *Session) Insert(e *Entry) (id uint16, ok bool) {
	if !s.CanInsert() {
		return 0, false
	}
	return s.launch(e).PacketID, true
}

// CanInsert reports whether Insert would send.
func (s *Session) CanInsert() bool {
	return s.outbound != nil && s.reached() && s.open() && len(s.again) == 0
}
