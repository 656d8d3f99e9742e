package model

import (
	"fmt"
	"slices"

	"github.com/nightjarmq/nightjar/packet"
)

// delivery is one copy of a message for one session.
type delivery struct {
	*message
	qos        byte
	retain     tri
	ids        []uint32 // Subscription Identifiers, sorted
	born       int64
	state      state
	id         uint16      // Packet Identifier, once sent
	sent       int         // order of the first sending
	connection bool        // was sent on the connection of now: it counts for the window
	again      bool        // must be sent again on this connection
	alike      []*delivery // acknowledged, and may have been this one: see acknowledged
	vague      bool        // first sent on a connection before 5.0
	may        bool        // need not come
	replay     string      // the filter whose SUBSCRIBE brings it, a retained message
	group      string      // the shared subscription it came by
}

type state byte

const (
	waiting state = iota
	sent
	received // PUBREC has come
)

type tri byte

const (
	no tri = iota
	yes
	either
)

// route gives s its copy, if one of its own subscriptions matches.
func (s *session) route(r *reference, m *message) int {
	d := &delivery{message: m, born: r.now}
	n, some := 0, 0
	for f, sub := range s.subs {
		share, plain := splitShare(f)
		if share != "" || !matches(plain, m.topic) || sub.NoLocal && m.from == s.id { // [MQTT-3.8.3-3]
			continue
		}
		n++
		d.qos = max(d.qos, min(m.qos, sub.QoS)) // [MQTT-3.3.4-2]
		d.ids = append(d.ids, identifiers(sub.id)...)
		if sub.RetainAsPublished {
			some++
		}
	}
	if n == 0 {
		return 0
	}
	slices.Sort(d.ids) // [MQTT-3.3.4-3] [MQTT-3.3.4-4]; Choice: one copy for overlapping subscriptions
	d.retain = asPublished(m, some, n)
	if d.qos > 0 || s.connected { // Choice: QoS 0 is not queued for absent clients.
		s.owed = append(s.owed, d)
	}
	return 1
}

// asPublished is the RETAIN flag of a message that matches n subscriptions,
// some of which are Retain As Published. [MQTT-3.3.1-12] [MQTT-3.3.1-13]
func asPublished(m *message, some, n int) tri {
	switch {
	case !m.retain || some == 0:
		return no
	case some == n:
		return yes
	}
	return either // the standard is silent about subscriptions that disagree
}

// arrival is a PUBLISH from the broker, its Topic Alias resolved.
type arrival struct {
	packet.Publish
	topic string
	slack int64 // ms that the broker's clock may be ahead of the model's
}

// deliver judges a PUBLISH that has come for s.
func (r *reference) deliver(s *session, a *arrival) error {
	if a.QoS > 0 && a.Dup {
		return r.deliverAgain(s, a)
	}
	if a.Dup { // [MQTT-3.3.1-2]
		return fmt.Errorf("DUP with QoS 0")
	}
	if a.QoS > 0 && s.byID(a.PacketID) != nil {
		return fmt.Errorf("packet identifier %d is in use [MQTT-2.2.1-4]", a.PacketID)
	}
	d, err := r.match(s, a)
	if err != nil {
		return err
	}
	d.vague = s.version < packet.V5
	if a.QoS == 0 {
		s.remove(d)
		return nil
	}
	r.sends++
	d.state, d.id, d.sent, d.connection = sent, a.PacketID, r.sends, true
	return s.checkWindow()
}

// deliverAgain judges a PUBLISH with DUP: everything that was sent and not
// acknowledged comes again, in order. [MQTT-4.4.0-1] [MQTT-4.6.0-1]
func (r *reference) deliverAgain(s *session, a *arrival) error {
	var first *delivery
	for _, d := range s.owed {
		if d.again && (first == nil || d.sent < first.sent) {
			first = d
		}
	}
	if first == nil {
		return fmt.Errorf("DUP, but nothing is to be sent again [MQTT-3.3.1-1]")
	}
	if first.id != a.PacketID {
		return fmt.Errorf("sent again out of order: identifier %d was sent before [MQTT-4.6.0-1]", first.id)
	}
	if err := r.same(s, first, a); err != nil && !r.confused(s, first, a) {
		return fmt.Errorf("sent again, but not the same: %w", err)
	}
	first.again, first.connection = false, true
	return s.checkWindow()
}

// confused: copies that differ in what only 5.0 shows look alike on older
// connections, so the model may have taken one for the other.
func (r *reference) confused(s *session, d *delivery, a *arrival) bool {
	for _, o := range slices.Concat(s.owed, d.alike) {
		if o != d && looksLike(o, d) && r.same(s, o, a) == nil {
			d.message, o.message = o.message, d.message
			d.ids, o.ids = o.ids, d.ids
			d.group, o.group = o.group, d.group
			return true
		}
	}
	return r.confusedCopy(s, d, a)
}

func looksLike(o, d *delivery) bool { return o.state != waiting && alike(o, d, o.vague && d.vague) }

// alike reports whether two copies cannot be told apart; vague means by a client
// before 5.0.
func alike(o, d *delivery, vague bool) bool {
	if o.topic != d.topic || o.payload != d.payload || o.qos != d.qos {
		return false
	}
	return vague || o.user == d.user && o.expires == d.expires && slices.Equal(o.ids, d.ids)
}

// acknowledged ends d. Of copies that look alike the model may think of another
// one than the broker.
func (s *session) acknowledged(d *delivery) {
	s.remove(d)
	for _, o := range s.owed {
		if looksLike(o, d) {
			o.alike = append(append(o.alike, d), d.alike...)
		}
	}
}

// checkWindow: never more than the client's Receive Maximum. [MQTT-3.3.4-9]
func (s *session) checkWindow() error {
	if n := s.count(func(d *delivery) bool { return d.connection }); n > s.window {
		return fmt.Errorf("%d messages in flight exceed the Receive Maximum %d [MQTT-3.3.4-9]", n, s.window)
	}
	return nil
}

// match finds the delivery that has come. Messages of a publisher on one topic
// and with one QoS do not overtake each other. [MQTT-4.6.0-5] [MQTT-4.6.0-6]
//
// What overtakes nothing is meant rather than what overtakes a delivery that need
// not come, and what has a RETAIN that is certain rather than what may come with
// either: two messages without payload look alike, and so do two copies.
func (r *reference) match(s *session, a *arrival) (*delivery, error) {
	d, _, _ := r.find(s, a, func(*delivery) bool { return false })
	if d != nil && d.retain != either {
		r.excuse(s, d, a)
		return d, nil
	}
	t := &taken{s: s, a: a}
	if r.take(t, make(map[*floating]bool)) {
		for _, o := range r.taken { // it may be that what came then was this one
			if o.s == s && r.fits(t, o.f) != nil {
				t.d.alike = append(t.d.alike, o.d)
			}
		}
		r.taken = append(r.taken, t)
		s.owed = append(s.owed, t.d)
		return t.d, nil
	}
	if d != nil {
		r.excuse(s, d, a)
		return d, nil
	}
	d, passed, reason := r.find(s, a, func(p *delivery) bool { return p.may })
	if d == nil {
		return nil, reason
	}
	r.excuse(s, d, a)
	for _, p := range passed {
		s.remove(p) // it must not come any more
	}
	return d, nil
}

// find returns the first delivery of s that is like a and overtakes only those
// that may be passed, and these.
func (r *reference) find(s *session, a *arrival, may func(*delivery) bool) (d *delivery, passed []*delivery, reason error) {
	reason = fmt.Errorf("nothing like it is owed")
	var before []*delivery
	for _, d := range s.owed {
		if d.topic != a.topic {
			continue
		}
		if d.state == waiting && d.payload == string(a.Payload) {
			err := r.same(s, d, a)
			if err == nil {
				passed = overtaken(d, before)
				i := slices.IndexFunc(passed, func(p *delivery) bool { return !may(p) })
				if i < 0 {
					return d, passed, nil
				}
				err = fmt.Errorf("it overtakes %q of the same publisher and topic [MQTT-4.6.0-5]", passed[i].payload)
			}
			reason = err
		}
		before = append(before, d)
	}
	return nil, nil, reason
}

// excuse: if what has come need not have come, then of those that could be meant
// too one less must.
func (r *reference) excuse(s *session, d *delivery, a *arrival) {
	if !d.may {
		return
	}
	for _, o := range s.owed {
		if !o.may && o.state == waiting && o.replay != "" && r.same(s, o, a) == nil {
			d.may, o.may = false, true
			return
		}
	}
}

// overtaken returns those of the deliveries before d that should have come before
// it.
func overtaken(d *delivery, before []*delivery) (passed []*delivery) {
	for _, p := range before {
		// Choice: with QoS 0 a retained message that a subscription brings may be late.
		late := p.replay != "" && p.qos == 0
		if p.from == d.from && p.qos == d.qos && p.group == "" && !late && (p.state == waiting || p.state == sent && p.again) {
			passed = append(passed, p)
		}
	}
	return passed
}

// same compares the PUBLISH with what is owed.
func (r *reference) same(s *session, d *delivery, a *arrival) error {
	if a.topic != d.topic || string(a.Payload) != d.payload || a.QoS != d.qos {
		return fmt.Errorf("want topic %q payload %q QoS %d", d.topic, d.payload, d.qos)
	}
	if d.retain != either && a.Retain != (d.retain == yes) {
		return fmt.Errorf("want RETAIN %v [MQTT-3.3.1-8] [MQTT-3.3.1-12] [MQTT-3.3.1-13]", d.retain == yes)
	}
	if s.version < packet.V5 {
		return r.inTime(d, a)
	}
	ids := slices.Clone(a.SubscriptionIDs)
	slices.Sort(ids)
	// By which group a copy came is not known of one that an older connection got.
	if !slices.Equal(ids, d.ids) && !(d.vague && d.group != "") {
		return fmt.Errorf("want Subscription Identifiers %v [MQTT-3.3.4-3] [MQTT-3.3.4-4]", d.ids)
	}
	user := ""
	for _, u := range a.User {
		user += string(u.Value)
	}
	if user != d.user {
		return fmt.Errorf("want User Property %q [MQTT-3.3.2-17]", d.user)
	}
	if a.MessageExpiry.Set != (d.expires != 0) {
		return fmt.Errorf("want Message Expiry Interval: %v [MQTT-3.3.2-6]", d.expires != 0)
	}
	return r.inTime(d, a)
}

// inTime: a message whose time is over does not start on its way, and carries
// what is left of its time. [MQTT-3.3.2-5] [MQTT-3.3.2-6]
func (r *reference) inTime(d *delivery, a *arrival) error {
	since := max(d.born, r.settledAt)
	if d.expires == 0 || d.state != waiting && d.expires < since {
		return nil
	}
	if d.state == waiting && d.expires <= since {
		return fmt.Errorf("it had expired [MQTT-3.3.2-5]")
	}
	if !a.MessageExpiry.Set {
		return nil
	}
	left := int64(a.MessageExpiry.Value) * 1000
	if least, most := d.expires-r.now-1000-a.slack, d.expires-since+1100; left < least || left > most {
		return fmt.Errorf("want between %d and %d ms of Message Expiry Interval [MQTT-3.3.2-6]", least, most)
	}
	return nil
}

// acknowledge is the client's PUBACK, PUBREC or PUBCOMP. Choice: those that
// acknowledge nothing are ignored, except that PUBREC is answered.
func (r *reference) acknowledge(s *session, t packet.Type, id uint16, code packet.Code) []reply {
	d := s.byID(id)
	switch {
	case t == packet.TypePuback && d != nil && d.qos == 1,
		t == packet.TypePubcomp && d != nil && d.state == received,
		t == packet.TypePubrec && d != nil && d.qos == 2 && code.Failed(): // [MQTT-4.3.3-4]
		s.acknowledged(d)
	case t == packet.TypePubrec && d != nil && d.qos == 2:
		d.state, d.again = received, false
		return []reply{{typ: packet.TypePubrel, id: id, codes: []packet.Code{packet.Success}}} // [MQTT-4.3.3-4]
	case t == packet.TypePubrec && s.version >= packet.V5:
		return []reply{{typ: packet.TypePubrel, id: id, codes: []packet.Code{packet.PacketIdentifierNotFound}}}
	case t == packet.TypePubrec:
		return []reply{{typ: packet.TypePubrel, id: id, codes: []packet.Code{packet.Success}}}
	}
	return nil
}

// settled is called when the broker is at rest: nothing that must have come may
// be missing.
func (r *reference) settled() error {
	for _, s := range r.sessions {
		if !s.connected {
			continue
		}
		live := s.count(func(d *delivery) bool { return d.state != waiting })
		used := s.count(func(d *delivery) bool { return d.connection || d.state == received })
		for _, d := range slices.Clone(s.owed) {
			missing := d.again && used < s.window ||
				d.state == waiting && !d.may && !d.expired(r.now) && (d.qos == 0 && d.replay == "" || live < s.window)
			if missing && !r.cameAsOwn(d, s) {
				return fmt.Errorf("%s has not got %q on %q, QoS %d, from %s", s.id, d.payload, d.topic, d.qos, d.from)
			}
		}
	}
	for i, f := range r.floating {
		if r.missing(f) && !r.exchange(i) {
			return fmt.Errorf("no member of %s has got %q on %q [MQTT-4.8.2-2]", f.group, f.payload, f.topic)
		}
	}
	r.purge()
	r.taken = slices.DeleteFunc(r.taken, func(t *taken) bool { // there is no doubt any more
		return t.own() == nil && !slices.ContainsFunc(r.floating, func(f *floating) bool { return f.topic == t.f.topic && f.payload == t.f.payload })
	})
	r.settledAt = r.now
	return nil
}

func (r *reference) missing(f *floating) bool { return !f.may && !f.expired(r.now) && f.allIdle() }

// exchange looks for a copy that was taken for another that need not have come
// yet, and may as well have been the i-th.
func (r *reference) exchange(i int) bool {
	f := r.floating[i]
	for _, t := range r.taken {
		if d := r.fits(t, f); d != nil && !r.missing(t.f) {
			r.floating[i] = t.f
			t.hold(f, d)
			return true
		}
	}
	return false
}

// allIdle reports whether nothing hinders any member to get its copy.
func (f *floating) allIdle() bool {
	for s, list := range f.members {
		live := s.count(func(d *delivery) bool { return d.state != waiting })
		if !s.connected || list[0].qos > 0 && live >= s.window {
			return false
		}
	}
	return true
}

func (r *reference) purge() {
	for _, s := range r.sessions {
		s.owed = slices.DeleteFunc(s.owed, func(d *delivery) bool {
			return d.state == waiting && (d.qos == 0 && d.replay == "" || d.expired(r.now))
		})
	}
	r.floating = slices.DeleteFunc(r.floating, func(f *floating) bool { return f.expired(r.now) || f.qos == 0 })
}

func (s *session) byID(id uint16) *delivery {
	for _, d := range s.owed {
		if d.state != waiting && d.id == id {
			return d
		}
	}
	return nil
}

func (s *session) remove(d *delivery) {
	s.owed = slices.DeleteFunc(s.owed, func(o *delivery) bool { return o == d })
}

func (s *session) count(is func(*delivery) bool) (n int) {
	for _, d := range s.owed {
		if is(d) {
			n++
		}
	}
	return n
}
