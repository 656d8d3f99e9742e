package auth

import (
	"slices"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/topic"
)

// Policy is the broker's Access: a List that can be replaced, or several, by
// listener.
type Policy struct {
	lists atomic.Pointer[Lists]

	// Denied, when set, is told of every refusal. It must not block and not keep
	// the topic. Set it before use.
	Denied func(c *hub.Client, action Action, topic []byte, d Decision)
}

// List decides what clients may do: an [ACL], or whatever else knows.
type List interface {
	// Check decides about an action on a topic name, which is borrowed.
	Check(id, user string, action Action, name []byte) Decision
	// Subscribe decides about a filter, without the $share of a shared one.
	Subscribe(id, user, filter string) Decision
}

// Unsubscriber is a List that decides who may give a subscription up. With others
// everybody may.
type Unsubscriber interface {
	Unsubscribe(id, user, filter string) Decision
}

// Chain is a List of several: the next decides what one leaves open.
type Chain []List

// Check is [List].Check.
func (c Chain) Check(id, user string, action Action, name []byte) (d Decision) {
	for _, l := range c {
		if d = l.Check(id, user, action, name); !d.Open {
			break
		}
	}
	return d
}

// Subscribe is [List].Subscribe.
func (c Chain) Subscribe(id, user, filter string) (d Decision) {
	for _, l := range c {
		if d = l.Subscribe(id, user, filter); !d.Open {
			break
		}
	}
	return d
}

// Unsubscribe is [Unsubscriber].Unsubscribe.
func (c Chain) Unsubscribe(id, user, filter string) Decision {
	for _, l := range c {
		if d := leave(l, id, user, filter); !d.Allowed && !d.Open {
			return d
		}
	}
	return Decision{Allowed: true, Why: "no list refuses it"}
}

func leave(l List, id, user, filter string) Decision {
	if u, ok := l.(Unsubscriber); ok {
		return u.Unsubscribe(id, user, filter)
	}
	return Decision{Allowed: true, Why: "the list says nothing about it"}
}

// Lists say which List holds for whom. A nil one allows everything.
type Lists struct {
	Default List
	// ByListener, when not nil, replaces Default: clients are subject to the ACL
	// of the listener that they are connected to, by its name. At a listener that
	// is missing they may do nothing. The will of a client that is gone must be
	// allowed by all of them.
	ByListener map[string]List
}

// NewPolicy returns a Policy that enforces the lists.
func NewPolicy(l Lists) *Policy {
	p := new(Policy)
	p.Replace(l)
	return p
}

// Replace enforces other lists from now on, for live subscriptions and queued
// messages too: both are checked when they are sent.
func (p *Policy) Replace(l Lists) {
	if one, ok := l.single(); ok {
		l = Lists{Default: one}
	}
	p.lists.Store(&l)
}

// single returns the ACL that all listeners share, if they do.
func (l *Lists) single() (one List, ok bool) {
	for _, a := range l.ByListener {
		if ok && !same(a, one) {
			return nil, false
		}
		one, ok = a, true
	}
	return one, ok
}

// same reports whether two lists are one. Chains are compared by their parts.
func same(a, b List) bool {
	x, chained := a.(Chain)
	y, both := b.(Chain)
	if chained || both {
		return chained && both && slices.EqualFunc(x, y, same)
	}
	return a == b
}

// Lists returns what is enforced.
func (p *Policy) Lists() Lists { return *p.lists.Load() }

// decide asks the lists that hold for the client.
func (p *Policy) decide(c *hub.Client, ask func(a List) Decision) Decision {
	l := p.lists.Load()
	link := c.Link()
	switch {
	case l.ByListener == nil:
		return askOne(l.Default, ask)
	case link != nil && link.Conn != nil:
		a, ok := l.ByListener[link.Conn.Listener().Name()]
		if !ok {
			return Decision{Why: "the client's listener has no access control list"}
		}
		return askOne(a, ask)
	}
	d := Decision{Why: "the client is at no listener"}
	for _, a := range l.ByListener {
		if d = askOne(a, ask); !d.Allowed {
			return d
		}
	}
	return d
}

func askOne(a List, ask func(a List) Decision) Decision {
	if a == nil {
		return Decision{Allowed: true, Why: "there is no access control list"}
	}
	return ask(a)
}

// Publish reports whether the client may publish to the topic.
func (p *Policy) Publish(c *hub.Client, name []byte, _ byte, _ bool) bool {
	d := p.decide(c, func(a List) Decision { return a.Check(c.ID, c.User, Publish, name) })
	return p.tell(c, Publish, name, d)
}

// Receive reports whether the client may be sent a message with the topic. With
// lists by listener, a message for a client that is not connected is let into
// its queue: it is checked again when it is sent.
func (p *Policy) Receive(c *hub.Client, name []byte) bool {
	if l := p.lists.Load(); l.ByListener != nil && c.Link() == nil {
		return true
	}
	d := p.decide(c, func(a List) Decision { return a.Check(c.ID, c.User, Receive, name) })
	return p.tell(c, Receive, name, d)
}

// Subscribe reports whether the client may subscribe to the filter. With lists by
// listener, a client that is not connected keeps what one of them allows: it is
// asked about again when the client comes.
func (p *Policy) Subscribe(c *hub.Client, f topic.Filter, _ byte) bool {
	if l := p.lists.Load(); l.ByListener != nil && c.Link() == nil {
		for _, a := range l.ByListener {
			if a == nil || a.Subscribe(c.ID, c.User, f.Filter).Allowed {
				return true
			}
		}
	}
	d := p.decide(c, func(a List) Decision { return a.Subscribe(c.ID, c.User, f.Filter) })
	return d.Allowed || p.tell(c, Subscribe, []byte(f.Filter), d)
}

// Unsubscribe reports whether the client may give up a subscription.
func (p *Policy) Unsubscribe(c *hub.Client, f topic.Filter) bool {
	d := p.decide(c, func(a List) Decision { return leave(a, c.ID, c.User, f.Filter) })
	return d.Allowed || p.tell(c, Unsubscribe, []byte(f.Filter), d)
}

func (p *Policy) tell(c *hub.Client, action Action, name []byte, d Decision) bool {
	if !d.Allowed && p.Denied != nil {
		p.Denied(c, action, name, d)
	}
	return d.Allowed
}

var _ hub.Access = (*Policy)(nil)
