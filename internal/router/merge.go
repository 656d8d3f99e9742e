package router

import "slices"

// merger merges the overlapping subscriptions of each subscriber in time linear to their number.
type merger[S comparable] struct {
	out   []Delivery[S]
	where map[S]int   // place in out of the first delivery to each subscriber; used beyond scan
	local map[int]int // place of the LocalOnly delivery that belongs to the one at a place; rare
}

// scan is the number of deliveries that are searched faster one by one than through a map.
const scan = 16

// deliveries merges subs, of which those from fresh on have different subscribers. The result is the caller's.
func (m *merger[S]) deliveries(subs []sub[S], fresh int) []Delivery[S] {
	m.out = make([]Delivery[S], 0, len(subs))
	ids := roomFor(subs)
	indexed := fresh > scan
	if indexed && m.where == nil {
		m.where = make(map[S]int, fresh)
	}
	known := 0 // the deliveries among which an earlier one may be found
	for i, x := range subs {
		d := delivery(x, &ids)
		if at := m.find(x.s, known, indexed); at >= 0 {
			m.overlap(at, d)
		} else {
			if indexed && i < fresh {
				m.where[x.s] = len(m.out)
			}
			m.out = append(m.out, d)
		}
		if i < fresh {
			known = len(m.out)
		}
	}
	return m.out
}

func (m *merger[S]) find(s S, known int, indexed bool) int {
	if indexed {
		if i, ok := m.where[s]; ok {
			return i
		}
		return -1
	}
	for i := range m.out[:known] {
		if m.out[i].To == s {
			return i
		}
	}
	return -1
}

// overlap merges d into the first delivery to the same subscriber, at place i. As soon as No Local is mixed, that one
// stands for messages from others and a second one for the subscriber's own.
func (m *merger[S]) overlap(i int, d Delivery[S]) {
	first := &m.out[i]
	second, split := m.local[i]
	switch {
	case d.NoLocal && !first.NoLocal:
		own := *first
		if first.ids != nil {
			ids := slices.Clip(*first.ids)
			own.ids = &ids
		}
		m.split(i, own)
	case !d.NoLocal && split:
		m.out[second].join(&d)
	case !d.NoLocal && first.NoLocal:
		m.split(i, d)
	}
	m.out[i].join(&d)
	m.out[i].NoLocal = m.out[i].NoLocal || d.NoLocal
}

// split adds the delivery of a subscriber's own messages that belongs to the one at place i.
func (m *merger[S]) split(i int, own Delivery[S]) {
	own.LocalOnly = true
	if m.local == nil {
		m.local = make(map[int]int)
	}
	m.local[i] = len(m.out)
	m.out = append(m.out, own)
}

// join takes over what another subscription of the same subscriber asks for [MQTT-3.3.4-2], [MQTT-3.3.4-4].
func (d *Delivery[S]) join(other *Delivery[S]) {
	d.QoS = max(d.QoS, other.QoS)
	d.RetainAsPublished = d.RetainAsPublished || other.RetainAsPublished
	switch {
	case other.ids == nil:
	case d.ids == nil:
		ids := slices.Clone(*other.ids)
		d.ids = &ids
	default:
		*d.ids = append(*d.ids, *other.ids...)
	}
}

func (m *merger[S]) reset() {
	m.out = nil // given away
	if len(m.where) > keep {
		m.where = nil
	}
	clear(m.where)
	clear(m.local)
}
