package client

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// Session is the client's half of the session state (5.0 section 4.1): messages on their way out, QoS 2 messages half
// received, and the subscriptions with their handlers. It outlives a connection when the caller made it and passes it to
// Dial again. The zero value is an empty session.
//
// It belongs to one Client at a time, whose lock guards it, except the routes.
// [MQTT-3.1.2-23] [MQTT-4.1.0-1] [3.1.1: MQTT-3.1.2-4]
type Session struct {
	inUse     atomic.Bool
	ephemeral bool // ends with the connection, so nothing has to be kept for sending again

	nextID   uint16
	seq      uint64
	life     uint64 // grows when the server has lost the session; read by the reading goroutine
	out      map[uint16]*outgoing
	spare    []*outgoing          // finished entries, to be used again
	received map[uint16]*delivery // QoS 2 messages that were handed over and await their PUBREL; nil unless held
	orphans  []orphan             // messages of the Keeper that a lost session leaves
	records  sessionRecords       // makes the state durable; nil: in memory only
	routes   atomic.Pointer[[]route]
}

// sessionRecords makes changes of the state durable before they are told to the server. Only the reading goroutine,
// acknowledgements of held messages and the handshake call it, without any lock.
type sessionRecords interface {
	pubrec(q *queued) error                           // the server has taken the message
	received(life uint64, id uint16, open bool) error // an inbound QoS 2 message was handed over, or released
	restart(life uint64) error                        // another life begins: the numbers received so far mean nothing in it
}

// orphan is an unacknowledged message whose session the server does not have any more.
type orphan struct {
	q     *queued
	taken bool // PUBREC had come: the server has the message
}

// outgoing is one unacknowledged QoS 1 or 2 message.
type outgoing struct {
	id      uint16
	seq     uint64 // order of the first sending
	state   outState
	qos     byte
	encoded []byte // the PUBLISH without alias, for sending again; nil if the session is ephemeral or PUBREC has come
	done    func(packet.Ack, error)
	queued  *queued // the Keeper's message that this is; nil: a Client's own
}

type outState uint8

const (
	awaitAck  outState = iota // PUBACK or PUBREC
	awaitComp                 // PUBCOMP
	notSent                   // kept back on this connection by the server's Receive Maximum
)

// route is one subscription.
type route struct {
	filter  string // as subscribed
	match   string // without $share
	handler Handler
}

// claim takes a free packet identifier; busy tells those in use for other things than messages.
func (s *Session) claim(busy map[uint16]*control) (uint16, error) {
	for range 65535 {
		s.nextID++
		if s.nextID == 0 {
			s.nextID = 1
		}
		if s.out[s.nextID] == nil && busy[s.nextID] == nil { // [MQTT-2.2.1-3]
			return s.nextID, nil
		}
	}
	return 0, ErrTooManyInflight
}

// add stores a message that is about to be sent.
func (s *Session) add(id uint16, qos byte, done func(packet.Ack, error)) *outgoing {
	if s.out == nil {
		s.out = make(map[uint16]*outgoing)
	}
	var o *outgoing
	if n := len(s.spare); n > 0 {
		o, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		o = new(outgoing)
	}
	s.seq++
	*o = outgoing{id: id, seq: s.seq, qos: qos, done: done}
	s.out[id] = o
	return o
}

// remove forgets a message that is acknowledged and gives its callback.
func (s *Session) remove(o *outgoing) func(packet.Ack, error) {
	delete(s.out, o.id)
	done := o.done
	if q := o.queued; q != nil {
		done = q.acknowledged
	}
	*o = outgoing{}
	s.spare = append(s.spare, o)
	return done
}

// unfinished lists what must be sent again, in the original order [MQTT-4.6.0-1].
func (s *Session) unfinished() []*outgoing {
	list := make([]*outgoing, 0, len(s.out))
	for _, o := range s.out {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b *outgoing) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	return list
}

// reset forgets everything but the handlers, which are not part of the protocol's state: the same subscriptions may be
// made again.
func (s *Session) reset() error {
	if s.records != nil {
		if err := s.records.restart(s.life + 1); err != nil {
			return err
		}
	}
	s.life++
	for _, o := range s.unfinished() {
		if o.queued != nil {
			s.orphans = append(s.orphans, orphan{o.queued, o.state == awaitComp})
		}
	}
	clear(s.out)
	clear(s.received)
	return nil
}

// Pending is the number of messages that were published and not acknowledged yet. It may be called only while no
// connection uses the session.
func (s *Session) Pending() int { return len(s.out) }

// setRoute adds a subscription or replaces the one with an equal filter [MQTT-3.8.4-3].
func (s *Session) setRoute(filter string, h Handler) {
	r := route{filter: filter, match: filter, handler: h}
	if f, err := topic.ParseFilterDepth(filter, topic.MaxLength); err == nil {
		r.match = f.Filter
	}
	s.changeRoutes(filter, r)
}

// dropRoute removes a subscription.
func (s *Session) dropRoute(filter string) { s.changeRoutes(filter) }

// changeRoutes replaces the route of a filter. The list is never changed but exchanged, because deliver reads it.
func (s *Session) changeRoutes(filter string, with ...route) {
	for {
		p := s.routes.Load()
		var old []route
		if p != nil {
			old = *p
		}
		routes := slices.DeleteFunc(slices.Clone(old), func(r route) bool { return r.filter == filter })
		routes = append(routes, with...)
		if s.routes.CompareAndSwap(p, &routes) {
			return
		}
	}
}

// deliver calls every handler whose filter matches; fallback, when none does.
func (s *Session) deliver(ctx context.Context, m *packet.Publish, fallback Handler) {
	found := false
	if p := s.routes.Load(); p != nil {
		for i := range *p {
			r := &(*p)[i]
			if r.handler != nil && topic.Match(r.match, m.Topic) {
				found = true
				r.handler(ctx, m)
			}
		}
	}
	if !found && fallback != nil {
		fallback(ctx, m)
	}
}
