package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nightjarmq/nightjar/packet"
)

// reference is what the standard says about a broker, as far as clients can see
// it. Time is in milliseconds and moves by advance only.
type reference struct {
	now       int64
	settledAt int64 // time at which the broker was last known to be at rest
	sessions  map[string]*session
	retained  map[string]*message
	floating  []*floating
	taken     []*taken
	joining   *session // its CONNECT makes a will due, and it may get it or not yet be there
	last      int64    // when something was due last
	sends     int      // counts first deliveries, for their order
}

func newReference() *reference {
	return &reference{sessions: make(map[string]*session), retained: make(map[string]*message)}
}

// message is an application message.
type message struct {
	from    string // Client Identifier of the publisher
	topic   string
	payload string
	user    string // value of a User Property, "" for none
	qos     byte
	retain  bool
	expires int64 // 0: never
}

// subscription is what a client asked for with one filter.
type subscription struct {
	packet.Options
	id uint32 // Subscription Identifier, 0 for none
}

type will struct {
	message
	delay  int64 // ms
	expiry int64 // ms, 0: never expires
}

// session is Session State (5.0 section 4.1), and the connection if there is one.
type session struct {
	id, user string
	subs     map[string]subscription // by filter, "$share/..." included
	incoming map[uint16]bool         // QoS 2 identifiers of the client that wait for PUBREL
	owed     []*delivery             // to be sent, or sent and not acknowledged

	connected bool
	version   packet.Version
	window    int   // Receive Maximum of the client
	expiry    int64 // ms that the session outlives the connection
	will      *will
	willAt    int64 // while absent: when the will is due, 0: it is not
	endAt     int64 // while absent: when the session ends, 0: never
}

const never = int64(0xFFFFFFFF) * 1000 // Session Expiry Interval without end

// opening is a CONNECT.
type opening struct {
	id, user string
	version  packet.Version
	clean    bool
	expiry   int64
	window   int
	will     *will
}

// connect returns whether the client is let in and whether it finds a session.
func (r *reference) connect(o opening) (accepted, present bool, replies []reply) {
	s := r.sessions[o.id]
	if s != nil && s.user != o.user { // Choice: a session belongs to who made it.
		return false, false, nil
	}
	if s != nil && s.connected { // [MQTT-3.1.4-3]
		if w := r.takeOver(s, o.clean); w != nil {
			defer func() {
				r.joining = r.sessions[o.id]
				r.publishWill(o.id, w)
				r.early(r.joining)
				r.joining = nil
			}()
		}
	} else if s != nil && o.clean {
		r.end(s) // [MQTT-3.1.2-4]
	}
	s = r.sessions[o.id]
	present = s != nil // [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.2.2-2] [MQTT-3.2.2-3]
	if s == nil {
		s = &session{id: o.id, user: o.user, subs: make(map[string]subscription), incoming: make(map[uint16]bool)}
		r.sessions[o.id] = s
	}
	s.connected, s.version, s.window = true, o.version, o.window
	s.expiry, s.will = o.expiry, o.will
	s.willAt, s.endAt = 0, 0 // [MQTT-3.1.3-9]
	for _, d := range s.owed {
		d.connection, d.again = false, d.state == sent // [MQTT-4.4.0-1]
		if d.state == received {
			replies = append(replies, reply{typ: packet.TypePubrel, id: d.id, codes: []packet.Code{0}})
		}
	}
	return true, present, replies
}

// early says that what has been published may have come before s was connected:
// then it gets nothing of QoS 0.
func (r *reference) early(s *session) {
	for _, d := range s.owed {
		d.may = d.may || d.qos == 0
	}
	for _, f := range r.floating {
		for _, d := range f.members[s] {
			f.may = f.may || d.qos == 0
		}
	}
}

// takeOver closes the connection of s for a new one, and returns the will that
// this makes due.
func (r *reference) takeOver(s *session, clean bool) *will {
	w := s.will
	s.connected, s.will = false, nil
	over := clean || s.expiry == 0 // [MQTT-3.1.2-23]
	s.owed = slices.DeleteFunc(s.owed, func(d *delivery) bool { return d.qos == 0 })
	if over {
		r.end(s)
	}
	if w != nil && !over && w.delay > 0 { // [MQTT-3.1.3-9]
		return nil
	}
	return w
}

// leave is the end of a connection: normal is a DISCONNECT that discards the
// will, expiry a new Session Expiry Interval or -1.
func (r *reference) leave(id string, normal bool, expiry int64) {
	s := r.sessions[id]
	s.connected = false
	if expiry >= 0 {
		s.expiry = expiry
	}
	if normal { // [MQTT-3.14.4-3]
		s.will = nil
	}
	s.owed = slices.DeleteFunc(s.owed, func(d *delivery) bool { return d.qos == 0 })
	if s.expiry == 0 { // [MQTT-4.1.0-2]
		r.end(s)
		return
	}
	if s.expiry < never {
		s.endAt = r.now + s.expiry
	}
	switch {
	case s.will == nil:
	case s.will.delay == 0: // [MQTT-3.1.2-8]
		r.publishWill(s.id, s.will)
		s.will = nil
	default: // [MQTT-3.1.3-9]
		s.willAt = r.now + s.will.delay
		if s.endAt != 0 {
			s.willAt = min(s.willAt, s.endAt)
		}
	}
}

// end is the end of a session: its will is due, and what it had of shared
// subscriptions may go to others.
func (r *reference) end(s *session) {
	delete(r.sessions, s.id)
	if s.will != nil {
		r.publishWill(s.id, s.will)
		s.will = nil
	}
	r.endFloating(s)
}

func (r *reference) publishWill(id string, w *will) {
	m := w.message
	m.from = id
	if w.expiry != 0 {
		m.expires = r.now + w.expiry
	}
	r.publish(&m)
}

// advance lets time pass: wills are published and sessions end in their order.
func (r *reference) advance(to int64) {
	for {
		var next *session
		at := to
		for _, s := range r.sessions {
			if d := s.deadline(); d != 0 && d <= at && (next == nil || d < at) {
				next, at = s, d
			}
		}
		if next == nil {
			r.now = to
			return
		}
		r.now, r.last = at, at
		if next.willAt != 0 {
			w := next.will
			next.will, next.willAt = nil, 0
			r.publishWill(next.id, w)
		} else {
			r.end(next) // [MQTT-4.1.0-2]
		}
	}
}

func (s *session) deadline() int64 {
	if s.connected {
		return 0
	}
	if s.willAt != 0 {
		return s.willAt
	}
	return s.endAt
}

// unclear reports whether something is due so close to now that a broker may
// have seen it or not: its timers may be late by tolerance.
func (r *reference) unclear() bool {
	const tolerance = 250
	near := func(at int64) bool { return at != 0 && r.now >= at-10 && r.now < at+tolerance }
	if near(r.last) {
		return true
	}
	for _, s := range r.sessions {
		if near(s.willAt) || near(s.endAt) || slices.ContainsFunc(s.owed, func(d *delivery) bool { return near(d.expires) }) {
			return true
		}
	}
	for _, m := range r.retained {
		if near(m.expires) {
			return true
		}
	}
	return slices.ContainsFunc(r.floating, func(f *floating) bool { return near(f.expires) })
}

// receive is a PUBLISH of a client and returns the answer to it.
func (r *reference) receive(s *session, m *message, id uint16) []reply {
	switch m.qos {
	case 0:
		r.publish(m)
		return nil
	case 1: // [MQTT-4.3.2-4]
		return []reply{{typ: packet.TypePuback, id: id, codes: r.publish(m)}}
	}
	if s.incoming[id] { // [MQTT-4.3.3-10]
		return []reply{{typ: packet.TypePubrec, id: id, codes: []packet.Code{0}}}
	}
	s.incoming[id] = true
	return []reply{{typ: packet.TypePubrec, id: id, codes: r.publish(m)}}
}

// release is a PUBREL of a client.
func (r *reference) release(s *session, id uint16) []reply {
	code := packet.PacketIdentifierNotFound
	if s.incoming[id] || s.version < packet.V5 {
		code = packet.Success
	}
	delete(s.incoming, id)
	return []reply{{typ: packet.TypePubcomp, id: id, codes: []packet.Code{code}}} // [MQTT-4.3.3-11]
}

// publish gives the message to everybody who receives it. It returns the codes
// with which it may be acknowledged.
func (r *reference) publish(m *message) []packet.Code {
	if m.retain {
		r.retain(m)
	}
	n := 0
	groups := make(map[string]bool)
	for _, s := range r.sessions {
		n += s.route(r, m)
		for f := range s.subs {
			if share, filter := splitShare(f); share != "" && matches(filter, m.topic) {
				groups[f] = true
			}
		}
	}
	for _, g := range slices.Sorted(maps.Keys(groups)) { // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
		r.float(g, m, false)
	}
	if n+len(groups) > 0 {
		return []packet.Code{packet.Success}
	}
	return []packet.Code{packet.Success, packet.NoMatchingSubscribers}
}

func (r *reference) retain(m *message) {
	for _, s := range r.sessions {
		for _, d := range s.owed {
			// Choice: a retained message that a subscription brings, and that was
			// replaced before it could be sent, need not be sent any more.
			d.may = d.may || d.replay != "" && d.topic == m.topic
		}
	}
	if m.payload == "" { // [MQTT-3.3.1-6] [MQTT-3.3.1-7]
		delete(r.retained, m.topic)
		return
	}
	r.retained[m.topic] = m // [MQTT-3.3.1-5]
}

// subscribe returns the codes of the SUBACK.
func (r *reference) subscribe(s *session, filter string, o packet.Options, id uint32) packet.Code {
	_, existed := s.subs[filter]
	s.subs[filter] = subscription{o, id} // [MQTT-3.8.4-3]
	share, plain := splitShare(filter)
	// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
	if share == "" && (o.RetainHandling == 0 || o.RetainHandling == 1 && !existed) {
		for _, t := range slices.Sorted(maps.Keys(r.retained)) {
			m := r.retained[t]
			if matches(plain, m.topic) && !m.expired(r.now) {
				d := &delivery{message: m, qos: min(m.qos, o.QoS), retain: yes, born: r.now, replay: filter} // [MQTT-3.3.1-8]
				d.ids = identifiers(id)
				s.owed = append(s.owed, d)
			}
		}
	}
	return packet.Code(o.QoS) // Choice: what was asked for is granted.
}

func (r *reference) unsubscribe(s *session, filter string) packet.Code {
	if _, ok := s.subs[filter]; !ok {
		return packet.NoSubscriptionExisted
	}
	delete(s.subs, filter) // [MQTT-3.10.4-1]; Choice: what is queued is still delivered.
	for _, d := range s.owed {
		// Choice: a retained message is looked up when it is its turn, and need not come
		// if the subscription that brings it has gone. [MQTT-3.10.4-2]
		d.may = d.may || d.replay == filter && d.state == waiting
	}
	return packet.Success
}

func (m *message) expired(now int64) bool { return m.expires != 0 && now >= m.expires }

func identifiers(id uint32) []uint32 {
	if id == 0 {
		return nil
	}
	return []uint32{id}
}

func splitShare(filter string) (share, plain string) {
	rest, ok := strings.CutPrefix(filter, "$share/")
	if !ok {
		return "", filter
	}
	share, plain, _ = strings.Cut(rest, "/")
	return share, plain
}

// matches is section 4.7.
func matches(filter, topic string) bool {
	if topic[0] == '$' && (filter[0] == '#' || filter[0] == '+') { // [MQTT-4.7.2-1]
		return false
	}
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return true // "a/#" matches "a" too
		}
		if i >= len(t) || level != "+" && level != t[i] {
			return false
		}
		if i == len(t)-1 && len(f) == len(t)+1 && f[i+1] == "#" {
			return true
		}
	}
	return len(f) == len(t)
}

// reply is a packet other than PUBLISH that the broker owes to a connection.
type reply struct {
	typ     packet.Type
	id      uint16
	codes   []packet.Code // one of them; of SUBACK and UNSUBACK all, in order
	present bool          // of CONNACK
}

func (p reply) String() string {
	return fmt.Sprintf("%v id=%d codes=%v present=%v", p.typ, p.id, p.codes, p.present)
}
