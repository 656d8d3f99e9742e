package router

import "github.com/nightjarmq/nightjar/topic"

// Options are what a SUBSCRIBE says about one filter.
type Options struct {
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	ID                uint32 // Subscription Identifier, 0 for none
}

// Table is the index of all subscriptions.
type Table[S comparable] struct{}

// New returns an empty table.
func New[S comparable]() *Table[S] { return &Table[S]{} }

// Subscribe adds or replaces the subscription of s to f and tells whether s had it before.
func (t *Table[S]) Subscribe(s S, f topic.Filter, o Options) (existed bool) { return false }

// Unsubscribe removes the subscription of s to f and tells whether s had it.
func (t *Table[S]) Unsubscribe(s S, f topic.Filter) (existed bool) { return false }

// UnsubscribeAll removes the subscriptions of s to every one of filters and returns how many there were.
func (t *Table[S]) UnsubscribeAll(s S, filters []topic.Filter) (removed int) { return 0 }

// Match finds who receives a message with this topic name.
func (t *Table[S]) Match(name string) *Route[S] { return &Route[S]{} }

// Len returns the number of subscriptions.
func (t *Table[S]) Len() int { return 0 }
