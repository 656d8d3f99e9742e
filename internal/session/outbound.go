package session

import (
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
func (s *Session) Offer(e *Entry, room bool) (id uint16, v Verdict) {
	if room && s.queue.n == 0 && s.backlog == 0 && s.open() {
		return s.win.add(e), Transmit
	}
	if s.full(e.Message.Size()) {
		return 0, QueueFull
	}
	s.bytes += e.Message.Size()
	if s.p.Durable {
		s.backlog++
		return 0, Store
	}
	s.queue.push(e)
	return 0, Queued
}

// open reports whether the client's Receive Maximum allows one more.
// [MQTT-3.3.4-9] [MQTT-4.9.0-2]
func (s *Session) open() bool { return s.win.live < int(s.p.SendMaximum) }

func (s *Session) full(size int) bool {
	n := s.queue.n + s.backlog
	return s.p.QueueMessages > 0 && n >= s.p.QueueMessages ||
		s.p.QueueBytes > 0 && n > 0 && s.bytes+size > s.p.QueueBytes
}

// Withdraw takes back an offer whose verdict was Transmit or Store and whose
// submission to the store failed.
func (s *Session) Withdraw(id uint16, size int) {
	if id != 0 {
		s.win.remove(id)
		return
	}
	s.backlog--
	s.bytes -= size
}

// Stored tells the store's number of a message in the window.
func (s *Session) Stored(id uint16, seq uint64) {
	if e := s.win.get(id); e != nil {
		e.Seq = seq
	}
}

// Cursor returns the number behind which the store is asked for more.
func (s *Session) Cursor() uint64 { return s.cursor }

// Loaded appends messages that were read from the store. more is false when the
// store has no more. size is what the message counted when it was queued.
func (s *Session) Loaded(entries []Entry, more bool) {
	for i := range entries {
		s.queue.push(&entries[i])
		s.cursor = entries[i].Seq
	}
	s.backlog = max(0, s.backlog-len(entries))
	if more {
		s.backlog = max(1, s.backlog)
	}
}

// Resume makes s the state of a session that goes on: incoming are the QoS 2
// identifiers that the client has open; inflight what was sent and not fully
// acknowledged, in order; waiting and bytes what the store has behind them. The
// unacknowledged messages and PUBRELs are sent again, with their identifiers.
// [MQTT-4.4.0-1] [MQTT-4.4.0-2]
func (s *Session) Resume(incoming []uint16, inflight []Entry, released []bool, waiting, bytes int, now int64, fx *Effects) {
	for _, id := range incoming {
		s.openIncoming(id)
	}
	s.backlog, s.bytes = waiting, bytes
	for i := range inflight {
		e := &inflight[i]
		e.released = released[i]
		s.win.put(e)
		s.win.next = e.PacketID
		s.resend(e, now, fx)
	}
}

func (s *Session) resend(e *Entry, now int64, fx *Effects) {
	if e.released {
		fx.Out = packet.AppendAck(fx.Out, packet.TypePubrel, e.PacketID)
		return
	}
	start := len(fx.Out)
	fx.Out = s.encode(fx.Out, e, true, now)
	if s.tooBig(len(fx.Out) - start) {
		fx.Out = fx.Out[:start]
		fx.TooBig++
		s.finish(e, fx)
	}
}

// Pump sends what waits, while the window is open and fewer than room bytes
// have gone into fx.Out. It sets fx.Refill when the store should be asked for
// more; the caller then calls Loaded and Pump again.
func (s *Session) Pump(room int, now int64, fx *Effects) {
	limit := len(fx.Out) + room
	for s.open() && len(fx.Out) < limit {
		e := s.queue.front()
		if e == nil {
			if s.backlog > 0 {
				fx.Refill = min(int(s.p.SendMaximum)-s.win.live, maxRefill)
			}
			return
		}
		s.bytes -= e.Message.Size()
		s.transmit(e, now, fx)
		s.queue.pop()
	}
}

// maxRefill bounds how many messages are loaded from the store at once.
const maxRefill = 256

func (s *Session) transmit(e *Entry, now int64, fx *Effects) {
	if e.Message.Expired(now) { // [MQTT-3.3.2-5]
		fx.Expired++
		s.change(fx, Done, e.Seq, 0)
		return
	}
	id := s.win.add(e)
	e.PacketID = id
	start := len(fx.Out)
	fx.Out = s.encode(fx.Out, e, false, now)
	if s.tooBig(len(fx.Out) - start) { // [MQTT-3.1.2-25]
		fx.Out = fx.Out[:start]
		fx.TooBig++
		s.win.remove(id)
		s.change(fx, Done, e.Seq, 0)
		return
	}
	s.change(fx, Sent, e.Seq, id)
}

func (s *Session) tooBig(n int) bool { return s.p.MaximumPacket != 0 && n > int(s.p.MaximumPacket) }

// encode writes e for this connection, with a Topic Alias if the client takes
// them.
func (s *Session) encode(dst []byte, e *Entry, dup bool, now int64) []byte {
	c := message.Copy{
		Version: s.p.Version, QoS: e.QoS, Dup: dup, Retain: e.Retain, PacketID: e.PacketID, IDs: e.IDs,
	}
	c.Alias, c.NoTopic = s.Alias(e.Message.Topic)
	return e.Message.Append(dst, &c, now)
}

// Puback handles the client's PUBACK. It returns the entry's share of a code
// that refuses the message, nothing else happens then than with success: the
// delivery has ended. [MQTT-4.3.2-3]
func (s *Session) Puback(id uint16, fx *Effects) {
	e := s.win.get(id)
	if e == nil || e.QoS != 1 {
		return // a stray acknowledgement hurts nobody
	}
	s.finish(e, fx)
}

// Pubrec handles the client's PUBREC. [MQTT-4.3.3-3] [MQTT-4.3.3-4]
func (s *Session) Pubrec(id uint16, code packet.Code, fx *Effects) {
	e := s.win.get(id)
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
func (s *Session) Pubcomp(id uint16, fx *Effects) {
	if e := s.win.get(id); e != nil && e.released {
		s.finish(e, fx)
	}
}

func (s *Session) finish(e *Entry, fx *Effects) {
	s.change(fx, Done, e.Seq, e.PacketID)
	s.win.remove(e.PacketID)
}

// appendAck writes an acknowledgement; a code other than Success exists since
// 5.0 only.
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
	s.backlog++
	s.bytes += size
}

// Open reports whether the next message of QoS 1 or 2 would be sent at once, as
// far as window and queue go.
func (s *Session) Open() bool { return s.open() && s.queue.n == 0 && s.backlog == 0 }
