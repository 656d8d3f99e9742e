package router

import "sync/atomic"

// sub is a subscription as it is stored: 16 bytes for a pointer S.
type sub[S comparable] struct {
	s    S
	id   uint32
	bits uint8
}

const (
	qosBits = 3
	noLocal = 1 << 2
	asPub   = 1 << 3
	used    = 1 << 7 // tells a subscription from no subscription
)

func newSub[S comparable](s S, o Options) sub[S] {
	x := sub[S]{s: s, id: o.ID, bits: used | o.QoS&qosBits}
	if o.NoLocal {
		x.bits |= noLocal
	}
	if o.RetainAsPublished {
		x.bits |= asPub
	}
	return x
}

func (x sub[S]) key() S { return x.s }

// leaf holds the subscriptions to one filter. Most filters have one subscriber, who is kept in place.
type leaf[S comparable] struct {
	one  sub[S]    // if more is nil
	more *crowd[S] // if there are several subscribers, or groups
}

// crowd is what a leaf has besides a single subscriber.
type crowd[S comparable] struct {
	subs   set[S, sub[S]]
	groups map[string]*group[S]          // by ShareName
	snap   atomic.Pointer[[]Delivery[S]] // of subs; nil if out of date. Made by readers, cleared by writers
}

// put adds or replaces the subscription of x.s and returns the one it had, if any.
func (l *leaf[S]) put(x sub[S]) (old sub[S]) {
	if l.more == nil {
		if l.one.bits == 0 || l.one.s == x.s {
			old, l.one = l.one, x
			return old
		}
		l.spread()
	}
	c := l.more
	c.snap.Store(nil)
	if i := c.subs.find(x.s); i >= 0 {
		old, c.subs.all[i] = c.subs.all[i], x
		return old
	}
	c.subs.add(x)
	return old
}

// drop removes the subscription of s and tells whether there was one.
func (l *leaf[S]) drop(s S) bool {
	if l.more == nil {
		if l.one.bits == 0 || l.one.s != s {
			return false
		}
		l.one = sub[S]{}
		return true
	}
	i := l.more.subs.find(s)
	if i < 0 {
		return false
	}
	l.more.snap.Store(nil)
	l.more.subs.remove(i)
	l.gather()
	return true
}

// putShared is put for the member of a group.
func (l *leaf[S]) putShared(share, filter string, x sub[S]) (old sub[S]) {
	if l.more == nil {
		l.spread()
	}
	c := l.more
	g := c.groups[share]
	if g == nil {
		g = newGroup[S](share, filter)
		if c.groups == nil {
			c.groups = make(map[string]*group[S])
		}
		c.groups[g.share] = g
	}
	return g.put(x)
}

// dropShared is drop for the member of a group.
func (l *leaf[S]) dropShared(share string, s S) bool {
	if l.more == nil {
		return false
	}
	g := l.more.groups[share]
	if g == nil || !g.drop(s) {
		return false
	}
	if len(g.members.all) == 0 {
		delete(l.more.groups, share)
		l.gather()
	}
	return true
}

// spread moves the single subscriber, if any, into a crowd.
func (l *leaf[S]) spread() {
	l.more = new(crowd[S])
	if l.one.bits != 0 {
		l.more.subs.add(l.one)
		l.one = sub[S]{}
	}
}

// gather gives up the crowd if no more than one subscriber is left in it.
func (l *leaf[S]) gather() {
	c := l.more
	if len(c.groups) > 0 || len(c.subs.all) > 1 {
		return
	}
	if len(c.subs.all) == 1 {
		l.one = c.subs.all[0]
	}
	l.more = nil
}

func (l *leaf[S]) empty() bool { return l.more == nil && l.one.bits == 0 }

// subs appends the subscriptions that are not shared.
func (l *leaf[S]) subs(dst []sub[S]) []sub[S] {
	if l.more != nil {
		return append(dst, l.more.subs.all...)
	}
	if l.one.bits != 0 {
		dst = append(dst, l.one)
	}
	return dst
}

// group is a shared subscription: a ShareName and a filter.
type group[S comparable] struct {
	name          string // share and filter, which are parts of it
	share, filter string
	members       set[S, sub[S]]
	cursor        atomic.Uint64
	snap          atomic.Pointer[Group[S]] // nil if out of date. Made by readers, cleared by writers
}

func (g *group[S]) put(x sub[S]) (old sub[S]) {
	g.snap.Store(nil)
	if i := g.members.find(x.s); i >= 0 {
		old, g.members.all[i] = g.members.all[i], x
		return old
	}
	g.members.add(x)
	return old
}

func (g *group[S]) drop(s S) bool {
	i := g.members.find(s)
	if i < 0 {
		return false
	}
	g.snap.Store(nil)
	g.members.remove(i)
	return true
}
