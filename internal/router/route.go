package router

import (
	"sync/atomic"
)

// Route is the answer to one topic name: who receives the message. It is immutable, may be kept and shared, and is
// true of the moment when it was made.
type Route[S comparable] struct {
	Subs []Delivery[S] // in no particular order

	groups *[]*Group[S] // nil: none, as in most routes; a cache holds thousands
	cost   int32        // bytes of memory that belong to this route alone
	shared bool         // Subs belongs to other routes too
}

// Groups are the shared subscriptions; each takes one copy.
func (r *Route[S]) Groups() []*Group[S] {
	if r.groups == nil {
		return nil
	}
	return *r.groups
}

// single is a route with its only subscriber, the most usual kind, in one piece.
type single[S comparable] struct {
	Route[S]
	one [1]Delivery[S]
}

// Delivery is one copy of a message for one subscriber. Overlapping subscriptions of a subscriber are merged, with the
// highest of their QoS [MQTT-3.3.4-2], all their Subscription Identifiers [MQTT-3.3.4-4], and RetainAsPublished if any
// of them asked for it.
//
// No Local makes one exception. If only some of the subscriptions have it, there are two deliveries: one of all
// subscriptions for messages from others (NoLocal), one of the rest for messages that the subscriber itself publishes
// (LocalOnly). With [Delivery.Reaches], a message goes to every subscriber once, whoever published it.
type Delivery[S comparable] struct {
	To                S
	QoS               byte
	NoLocal           bool // not for messages that To itself publishes [MQTT-3.8.3-3]
	LocalOnly         bool // only for messages that To itself publishes
	RetainAsPublished bool // [MQTT-3.3.1-12], [MQTT-3.3.1-13]

	ids *[]uint32 // nil: none. It is this delivery's alone while the route is made
}

// IDs are the Subscription Identifiers; shared, not to be changed.
func (d *Delivery[S]) IDs() []uint32 {
	if d.ids == nil {
		return nil
	}
	return *d.ids
}

// Reaches reports whether this delivery applies to a message that from publishes.
func (d *Delivery[S]) Reaches(from S) bool {
	if d.NoLocal || d.LocalOnly {
		return (d.To == from) == d.LocalOnly
	}
	return true
}

// Group is a shared subscription as it was when the route was made. A message goes to one of its members, with that
// member's QoS [MQTT-4.8.2-3]; which one is the caller's choice.
type Group[S comparable] struct {
	Share   string
	Filter  string
	Name    string        // Share and Filter in one: what tells shared subscriptions apart [MQTT-4.8.2-1]
	Members []Delivery[S] // at least one, in no particular order

	cursor *atomic.Uint64
}

// Next returns a turn, counted from 0 through the life of the group by all who hold it: begin to look for a willing
// member at Members[turn % len(Members)], and messages go round. Safe for concurrent use.
func (g *Group[S]) Next() uint64 { return g.cursor.Add(1) - 1 }

func newGroup[S comparable](share, filter string) *group[S] {
	name := share + "/" + filter
	return &group[S]{name: name, share: name[:len(share)], filter: name[len(share)+1:]}
}

// snapshot returns the group as it is. The read lock must be held; several readers may make the same snapshot at once.
func (g *group[S]) snapshot() *Group[S] {
	if s := g.snap.Load(); s != nil {
		return s
	}
	s := &Group[S]{Share: g.share, Filter: g.filter, Name: g.name, Members: deliveries(make([]Delivery[S], len(g.members.all)), g.members.all), cursor: &g.cursor}
	g.snap.Store(s)
	return s
}

// shareFrom is the number of subscribers from which the list of one filter is kept for all topics it matches.
const shareFrom = 256

// snapshot returns the subscribers of a large crowd. The read lock must be held.
func (c *crowd[S]) snapshot() []Delivery[S] {
	if s := c.snap.Load(); s != nil {
		return *s
	}
	s := deliveries(make([]Delivery[S], len(c.subs.all)), c.subs.all)
	c.snap.Store(&s)
	return s
}

// deliveries turns subscriptions into deliveries, one for one, in out.
func deliveries[S comparable](out []Delivery[S], subs []sub[S]) []Delivery[S] {
	ids := roomFor(subs)
	for i, x := range subs {
		out[i] = delivery(x, &ids)
	}
	return out
}

// identifiers are the Subscription Identifiers of many deliveries, in two pieces of memory.
type identifiers struct {
	all   []uint32
	lists [][]uint32 // of one each
}

// roomFor makes room for the identifiers of subs.
func roomFor[S comparable](subs []sub[S]) identifiers {
	n := 0
	for i := range subs {
		if subs[i].id != 0 {
			n++
		}
	}
	if n == 0 {
		return identifiers{}
	}
	return identifiers{make([]uint32, 0, n), make([][]uint32, 0, n)}
}

// list returns a list of one; there is room for it.
func (ids *identifiers) list(id uint32) *[]uint32 {
	n := len(ids.all)
	ids.all = append(ids.all, id)
	ids.lists = append(ids.lists, ids.all[n:n+1:n+1]) // full, so that a later append copies
	return &ids.lists[n]
}

// delivery turns one subscription into a delivery; its identifier, if any, takes a place of ids.
func delivery[S comparable](x sub[S], ids *identifiers) Delivery[S] {
	d := Delivery[S]{
		To:                x.s,
		QoS:               x.bits & qosBits,
		NoLocal:           x.bits&noLocal != 0,
		RetainAsPublished: x.bits&asPub != 0,
	}
	if x.id != 0 {
		d.ids = ids.list(x.id)
	}
	return d
}
