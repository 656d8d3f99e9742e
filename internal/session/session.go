package session

import (
	"github.com/nightjarmq/nightjar/internal/budget"
	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/packet"
)

// Params are what was negotiated for one connection, and the limits of the
// queue. They do not change while the connection lasts.
type Params struct {
	Version packet.Version

	// Durable: the session outlives its connection. Its queue is in the store
	// and every step is reported as a Change; else the queue is in memory.
	Durable bool

	SendMaximum    uint16 // the client's Receive Maximum; 0 means 65535; 32767 are used at most
	ReceiveMaximum uint16 // ours; 0 means 65535
	Lenient        bool   // a client that exceeds ReceiveMaximum is served
	MaximumPacket  uint32 // the client's Maximum Packet Size in bytes; 0: none
	SendAliases    uint16 // the client's Topic Alias Maximum
	SendBytes      int    // most bytes under way, beyond one message; 0: no limit
	Mount          string // taken off the topics that the client is sent
	ReceiveAliases uint16 // ours

	Spare *Spare // memory to share with other sessions; nil: none

	QueueMessages int // most messages that wait for the window; 0: no limit
	QueueBytes    int // most bytes that wait; 0: no limit

	// QueueAge is how many milliseconds a message waits at most; 0: no limit. The
	// entries of such a session have a [Stamp] instead of Subscription Identifiers.
	QueueAge int64

	// LiveFirst: what waits when a durable session is resumed is overtaken by what comes from then on; else all goes in
	// order. PastRate is how many of those that wait are sent in a second; 0: as fast as it goes.
	LiveFirst bool
	PastRate  int

	// Budget is shared by the queues in memory of all sessions; nil: no limit.
	Budget *budget.Budget
}

// Session is the state of one session while it is connected. The zero value is
// not usable; see [New] and [Session.Resume].
type Session struct {
	p         *Params  // complete; other sessions may share it
	*outbound          // nil while nothing is in it; most sessions are idle, see Rest
	aliases   *aliases // nil until the first

	incoming map[uint16]bool // QoS 2 identifiers the client has opened; true: on this connection
	opened   int32           // those that are true
	peak     int32           // the most that incoming has held since it was made
	unacked  int32           // inbound QoS 1 messages whose PUBACK was not handed out
	last     uint16          // the identifier before the next to be given out, while outbound is nil
}

// outbound is what was sent, or is to be, and not fully acknowledged.
type outbound struct {
	win     window
	lane             // what waits, but for the past
	past    *past    // what is to be overtaken; nil unless LiveFirst
	hold    bool     // what is in the queue from place on waits; see HoldBehind
	place   int      // counts from the first entry that the queue ever had
	offered int      // given to the caller to store; neither Filed nor withdrawn yet
	bytes   int      // of lane, past and offered
	flying  int      // messages sent on this connection and not fully acknowledged
	aloft   int      // bytes of those
	again   []uint16 // identifiers to be sent again, in order
}

// begin makes what is outbound, if there is nothing yet.
func (s *Session) begin() {
	if s.outbound == nil {
		s.outbound = s.p.Spare.outbound()
		s.win.spare, s.win.next = s.p.Spare, s.last
	}
}

// Rest gives the memory back that only messages of QoS 1 and 2 need, in either direction, if none is under way. The caller
// has no use any more for places that End gave.
func (s *Session) Rest() {
	if len(s.incoming) == 0 && s.incoming != nil {
		s.p.Spare.putIncoming(s.incoming)
		s.incoming, s.peak = nil, 0
	}
	if n, _ := s.Waiting(); s.outbound == nil || n > 0 || s.win.live > 0 || s.hold || s.past != nil {
		return
	}
	s.last = s.win.next
	s.p.Spare.putOutbound(s.outbound)
	s.outbound = nil
}

// New returns the state of a session without a past.
func New(p Params) *Session {
	p = p.Complete()
	return NewShared(&p)
}

// NewShared is New for sessions that share their parameters, which Complete returned and nobody changes any more: most
// sessions have the same.
func NewShared(p *Params) *Session { return &Session{p: p} }

// Complete returns p with the values that zero fields stand for.
func (p Params) Complete() Params {
	if p.SendMaximum == 0 || p.SendMaximum > mostInflight { // [MQTT-4.9.0-1]
		p.SendMaximum = mostInflight
	}
	if p.ReceiveMaximum == 0 {
		p.ReceiveMaximum = 65535
	}
	return p
}

// Entry is one outbound message of a session.
type Entry struct {
	Message  *message.Message // nil once PUBREC has come
	IDs      []uint32         // Subscription Identifiers
	Seq      uint64           // the store's number; 0 if the store has none
	Share    string           // the shared subscription it came by, name and filter, or ""
	PacketID uint16
	QoS      byte // 0 only for what was queued for an absent client
	Retain   bool
	released bool // PUBREC has come, PUBREL was sent
	flying   bool // it was sent on this connection, and counts there
	size     int32
}

// Change is a step of a durable session that must be stored.
type Change struct {
	Kind     ChangeKind
	Seq      uint64
	PacketID uint16
}

// ChangeKind says what a Change is; the kinds are those of the store's records.
type ChangeKind uint8

const (
	Sent     ChangeKind = iota + 1 // a queued message got its packet identifier
	Received                       // PUBREC came
	Done                           // the delivery has ended
	Released                       // the client's PUBREL came
)

// Effects is what a step wants done. The caller empties it with Reset and uses
// it again.
type Effects struct {
	Out     []byte // whole packets for the connection, in order
	Changes []Change
	Sent    int // messages among Out
	Payload int // bytes of their payloads
	Expired int // messages that were dropped because their time was over
	TooBig  int // messages dropped for the client's Maximum Packet Size
	Refused int // messages dropped because Guard refused them
	Refill  int // how many messages to load from the store, behind Session.Cursor

	Due int64 // unix ms at which Pump may send more, though nothing else happens; 0: it is not a matter of time

	// Guard, when set, is asked whether a message may be sent that waited when
	// Session.Doubt was called. Reset keeps it.
	Guard Guard
}

// Guard decides about messages that have waited.
type Guard interface {
	MaySend(topic string) bool
}

// Reset empties e and keeps its memory, unless a burst has made it large.
func (e *Effects) Reset() {
	if cap(e.Out) > 256<<10 {
		e.Out = nil
	}
	e.Out, e.Changes = e.Out[:0], e.Changes[:0]
	e.Sent, e.Payload, e.Expired, e.TooBig, e.Refused, e.Refill, e.Due = 0, 0, 0, 0, 0, 0, 0
}

func (s *Session) change(fx *Effects, k ChangeKind, seq uint64, id uint16) {
	if s.p.Durable {
		fx.Changes = append(fx.Changes, Change{k, seq, id})
	}
}

// Waiting returns how many messages wait to be sent for the first time, and
// their bytes.
func (s *Session) Waiting() (messages, bytes int) {
	if s.outbound == nil {
		return 0, 0
	}
	n := s.lane.waiting() + s.offered
	if s.past != nil {
		n += s.past.waiting()
	}
	return n, s.bytes
}

// Close gives the memory of the queue back. The session is not used any more.
func (s *Session) Close() {
	if s.outbound != nil && !s.p.Durable {
		s.p.Budget.Add(-s.held())
	}
}

// entryBytes is about what a message in a queue takes beside its bytes.
const entryBytes = 128

// held is the memory of a queue that is not in the store.
func (s *Session) held() int { return s.bytes + s.queue.n*entryBytes }

// Doubt makes Pump ask Effects.Guard about all that waits now. What was sent before goes on without: the client may have
// it already. [MQTT-4.4.0-1]
func (s *Session) Doubt() {
	if s.outbound == nil {
		return
	}
	s.doubted = s.lane.waiting() + s.offered
	if s.past != nil {
		s.past.doubted = s.past.waiting()
	}
}

// Doubted reports whether there is something to ask about.
func (s *Session) Doubted() bool {
	return s.outbound != nil && (s.doubted > 0 || s.past != nil && s.past.doubted > 0)
}

// Pending reports whether there is something that Pump may send.
func (s *Session) Pending() bool {
	return s.outbound != nil && (len(s.again) > 0 || s.lane.waiting() > 0 || s.past != nil)
}

// Inflight returns how many messages were sent and not fully acknowledged.
func (s *Session) Inflight() int {
	if s.outbound == nil {
		return 0
	}
	return s.win.live
}

// Unfinished calls yield for each message of QoS 1 and 2 that the client has
// not acknowledged or was not sent, in order. A session that ends passes those
// of shared subscriptions on.
func (s *Session) Unfinished(yield func(e *Entry) bool) {
	if s.outbound != nil && s.win.each(yield) && (s.past == nil || s.past.queue.each(yield)) {
		s.queue.each(yield)
	}
}
