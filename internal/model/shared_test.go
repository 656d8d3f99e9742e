package model

import (
	"maps"
	"slices"
)

// floating is a copy for one member of a shared subscription. Which one gets it
// is known when it comes.
type floating struct {
	*message
	group   string
	members map[*session][]*delivery // what each would get: one of these
	may     bool                     // need not come
}

// float gives one copy to a group. may says that the copy need not come: it was
// with a member whose session has ended.
func (r *reference) float(group string, m *message, may bool) {
	if members := r.members(group, m); len(members) > 0 {
		r.floating = append(r.floating, &floating{message: m, group: group, members: members, may: may})
	}
}

// members returns who may get a message of the group, and how.
func (r *reference) members(group string, m *message) map[*session][]*delivery {
	connected := false
	for _, s := range r.sessions {
		_, ok := s.subs[group]
		connected = connected || ok && s.connected && s != r.joining
	}
	members := make(map[*session][]*delivery)
	for _, s := range r.sessions {
		sub, ok := s.subs[group]
		if !ok || connected && !s.connected { // Choice: who is connected goes first.
			continue
		}
		d := &delivery{message: m, qos: min(m.qos, sub.QoS), ids: identifiers(sub.id), born: r.now, group: group} // [MQTT-4.8.2-3]
		if m.retain && sub.RetainAsPublished {
			d.retain = yes
		}
		if s.connected || d.qos > 0 {
			members[s] = []*delivery{d}
		}
	}
	return members
}

// endFloating: what the ended session s had of shared subscriptions may go to
// other members, but not QoS 2 of which delivery had begun. [MQTT-4.8.2-5]
func (r *reference) endFloating(s *session) {
	r.floating = append(r.floating, r.doubtful(s)...)
	for _, f := range r.floating {
		if f.members[s] == nil {
			continue
		}
		delete(f.members, s)
		f.may = true // it may have been with s
		for other, d := range r.members(f.group, f.message) {
			f.members[other] = append(f.members[other], d...) // with its options of now
		}
	}
	r.floating = slices.DeleteFunc(r.floating, func(f *floating) bool { return len(f.members) == 0 })
	for _, d := range s.owed {
		for _, o := range append(d.alike, d) {
			if o.group != "" && o.qos == 1 {
				r.float(o.group, o.message, true)
			}
		}
	}
}

// confusedCopy: d was taken for one copy for a group, and was another one, which floats still.
func (r *reference) confusedCopy(s *session, d *delivery, a *arrival) bool {
	for _, t := range r.taken {
		if t.d != d {
			continue
		}
		for i, f := range r.floating {
			if o := r.fits(t, f); o != nil {
				was := *d
				was.message, was.group, was.ids = o.message, o.group, o.ids
				if r.same(s, &was, a) == nil {
					r.floating[i] = t.f
					t.hold(f, o)
					return true
				}
			}
		}
	}
	return false
}

// doubtful are copies that s is thought to have taken, but what came may have been
// another one that floats still. Then these are with somebody else.
func (r *reference) doubtful(s *session) (list []*floating) {
	for _, t := range r.taken {
		if t.s == s && slices.ContainsFunc(r.floating, func(f *floating) bool { return r.fits(t, f) != nil }) {
			list = append(list, &floating{message: t.f.message, group: t.f.group, members: maps.Clone(t.f.members), may: true})
		}
	}
	return list
}

// taken is a floating copy that has come.
type taken struct {
	f *floating
	s *session
	a *arrival  // until d is known
	d *delivery // what came
}

// take finds a floating copy for t. Copies of one message for several groups may
// look alike: the one that fits may have been taken for another that fits as
// well, which then takes that. Order does not hold for shared subscriptions.
func (r *reference) take(t *taken, tried map[*floating]bool) bool {
	for i, f := range r.floating {
		if d := r.fits(t, f); d != nil && !tried[f] {
			r.floating = slices.Delete(r.floating, i, i+1)
			t.hold(f, d)
			return true
		}
	}
	for _, other := range r.taken {
		f := other.f
		d := r.fits(t, f)
		if other == t || tried[f] || d == nil {
			continue
		}
		tried[f] = true
		if r.take(other, tried) || r.giveBack(other) {
			t.hold(f, d)
			return true
		}
	}
	return false
}

// giveBack has t been a delivery that its session was owed anyway, and looks like
// what t took.
func (r *reference) giveBack(t *taken) bool {
	own := t.own()
	if own == nil {
		return false
	}
	t.s.remove(own)
	t.d.message, t.d.group, t.d.ids = own.message, own.group, own.ids
	r.taken = slices.DeleteFunc(r.taken, func(o *taken) bool { return o == t })
	return true
}

// cameAsOwn has a copy that was taken from a group been d, which its session was owed anyway. The group owes its copy still.
func (r *reference) cameAsOwn(d *delivery, s *session) bool {
	for _, t := range r.taken {
		if f := t.f; t.s == s && t.own() == d && r.giveBack(t) {
			r.floating = append(r.floating, f)
			return true
		}
	}
	return false
}

// own returns what t may have been although it was taken from a group, nil for
// nothing.
func (t *taken) own() *delivery {
	for _, o := range t.s.owed {
		if o != t.d && o.state == waiting && (o.retain == either || o.retain == t.d.retain) && alike(o, t.d, t.d.vague) {
			return o
		}
	}
	return nil
}

// fits returns as what t may have come from f, nil if it may not.
func (r *reference) fits(t *taken, f *floating) *delivery {
	for _, d := range f.members[t.s] {
		if t.d == nil && r.same(t.s, d, t.a) == nil {
			return d
		}
		if t.d != nil && d.retain == t.d.retain && alike(d, t.d, t.d.vague) {
			return d
		}
	}
	return nil
}

func (t *taken) hold(f *floating, d *delivery) {
	t.f = f
	if t.d == nil {
		own := *d // the floating copy may be taken back
		t.d = &own
	}
	t.d.message, t.d.group, t.d.ids = d.message, d.group, d.ids
}
