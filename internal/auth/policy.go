package auth

import (
	"sync/atomic"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/topic"
)

// Policy is the broker's Access: an ACL that can be replaced, or several, by
// listener.
type Policy struct {
	lists atomic.Pointer[Lists]

	// Denied, when set, is told of every refusal. It must not block and not keep
	// the topic. Set it before use.
	Denied func(c *hub.Client, action Action, topic []byte, d Decision)
}

// Lists say which ACL holds for whom. A nil ACL allows everything.
type Lists struct {
	Default *ACL
	// ByListener, when not nil, replaces Default: clients are subject to the ACL
	// of the listener that they are connected to, by its name. A listener that
	// is missing refuses everything.
	ByListener map[string]*ACL
}

// NewPolicy returns a Policy that enforces the lists.
func NewPolicy(l Lists) *Policy {
	p := new(Policy)
	p.Replace(l)
	return p
}

// Replace enforces other lists from now on, for live subscriptions and queued
// messages too: both are checked when they are sent.
func (p *Policy) Replace(l Lists) { p.lists.Store(&l) }

// Lists returns what is enforced.
func (p *Policy) Lists() Lists { return *p.lists.Load() }

// list returns the ACL of a client; known is false for a client whose listener
// is not known.
func (p *Policy) list(c *hub.Client) (a *ACL, known bool) {
	l := p.lists.Load()
	if l.ByListener == nil {
		return l.Default, true
	}
	link := c.Link()
	if link == nil || link.Conn == nil {
		return nil, false
	}
	a, known = l.ByListener[link.Conn.Listener().Name()]
	return a, known
}

// Publish reports whether the client may publish to the topic.
func (p *Policy) Publish(c *hub.Client, name []byte, _ byte, _ bool) bool {
	return p.check(c, Publish, name)
}

// Receive reports whether the client may be sent a message with the topic. With
// lists by listener, a message for a client that is not connected is let into
// its queue: it is checked again when it is sent.
func (p *Policy) Receive(c *hub.Client, name []byte) bool {
	if l := p.lists.Load(); l.ByListener != nil && c.Link() == nil {
		return true
	}
	return p.check(c, Receive, name)
}

func (p *Policy) check(c *hub.Client, action Action, name []byte) bool {
	a, known := p.list(c)
	if a == nil && known {
		return true
	}
	d := Decision{Why: "the client's listener has no access control list"}
	if a != nil {
		d = a.Check(c.ID, c.User, action, name)
	}
	if !d.Allowed && p.Denied != nil {
		p.Denied(c, action, name, d)
	}
	return d.Allowed
}

// Subscribe reports whether the client may subscribe to the filter.
func (p *Policy) Subscribe(c *hub.Client, f topic.Filter, _ byte) bool {
	a, known := p.list(c)
	if a == nil && known {
		return true
	}
	d := Decision{Why: "the client's listener has no access control list"}
	if a != nil {
		d = a.Subscribe(c.ID, c.User, f.Filter)
	}
	if !d.Allowed && p.Denied != nil {
		p.Denied(c, Subscribe, []byte(f.Filter), d)
	}
	return d.Allowed
}

var _ hub.Access = (*Policy)(nil)
