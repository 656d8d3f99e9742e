package router

import "sync/atomic"

// Route is the answer to one topic name: who receives the message. It is immutable and may be kept and shared.
type Route[S comparable] struct {
	Subs   []Delivery[S]
	Groups []*Group[S]
}

// Delivery is one copy of a message to one subscriber.
type Delivery[S comparable] struct {
	To                S
	QoS               byte
	NoLocal           bool // not if To itself published the message [MQTT-3.8.3-3]
	LocalOnly         bool // only if To itself published the message
	RetainAsPublished bool
	IDs               []uint32 // Subscription Identifiers, not to be changed
}

// Reaches reports whether a message that from published goes to d.To by this delivery.
func (d *Delivery[S]) Reaches(from S) bool {
	if d.To == from {
		return !d.NoLocal
	}
	return !d.LocalOnly
}

// Group is a shared subscription as it was when the route was made.
type Group[S comparable] struct {
	Share   string
	Filter  string
	Members []Delivery[S] // never empty
	cursor  *atomic.Uint64
}

// Next returns the next turn of the group; the member whose turn it is stands at the result modulo len(Members).
func (g *Group[S]) Next() uint64 { return g.cursor.Add(1) - 1 }
