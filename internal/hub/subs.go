package hub

import (
	"github.com/nightjarmq/nightjar/internal/router"
	"github.com/nightjarmq/nightjar/internal/timer"
	"github.com/nightjarmq/nightjar/topic"
)

// subscription is one filter of a client.
type subscription struct {
	filter  topic.Filter
	options router.Options
	retain  byte // Retain Handling, as asked

	born uint32 // tells it apart from an earlier one with its filter
	turn uint32 // of its last SUBSCRIBE that brought retained messages
}

// subscriptions are those of one client: a slice, with an index once it is long.
type subscriptions struct {
	list  []subscription
	index map[topic.Filter]int // position in list; nil while list is short
}

const indexFrom = 16

func (s *subscriptions) find(f topic.Filter) int {
	if s.index != nil {
		if i, ok := s.index[f]; ok {
			return i
		}
		return -1
	}
	for i := range s.list {
		if s.list[i].filter == f {
			return i
		}
	}
	return -1
}

// get returns the subscription with the filter that is not shared, nil if there
// is none. It is valid until the next change.
func (s *subscriptions) get(filter string) *subscription {
	if i := s.find(topic.Filter{Filter: filter}); i >= 0 {
		return &s.list[i]
	}
	return nil
}

// set adds the subscription or replaces the one with its filter.
func (s *subscriptions) set(sub subscription) {
	if i := s.find(sub.filter); i >= 0 {
		sub.born, sub.turn = s.list[i].born, s.list[i].turn
		s.list[i] = sub
		return
	}
	s.list = append(s.list, sub)
	if s.index != nil {
		s.index[sub.filter] = len(s.list) - 1
		return
	}
	if len(s.list) < indexFrom {
		return
	}
	s.index = make(map[topic.Filter]int, 2*indexFrom)
	for i := range s.list {
		s.index[s.list[i].filter] = i
	}
}

func (s *subscriptions) remove(f topic.Filter) bool {
	i := s.find(f)
	if i < 0 {
		return false
	}
	last := len(s.list) - 1
	s.list[i] = s.list[last]
	s.list[last] = subscription{}
	s.list = s.list[:last]
	if s.index != nil {
		delete(s.index, f)
		if i != last {
			s.index[s.list[i].filter] = i
		}
	}
	return true
}

// Subscriptions calls yield for each subscription of the client, under its lock.
func (c *Client) Subscriptions(yield func(filter string, qos byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.subs.list {
		s := &c.subs.list[i]
		yield(s.filter.String(), s.options.QoS)
	}
}

// former are the subscriptions of a session that has ended. It gets nothing any more,
// so they are taken out of the routes in pieces: there may be very many.
type former struct {
	client *Client
	list   []subscription
	timer  timer.Entry
}

// formerPiece is how many are taken out in one piece.
const formerPiece = 1024

// Expire takes another piece out.
func (f *former) Expire(now int64) (next int64) {
	if f.unsubscribe() {
		return now + timer.Tick
	}
	return 0
}

// unsubscribe takes a piece out and reports whether there is more.
func (f *former) unsubscribe() (more bool) {
	h := f.client.hub
	piece := f.list[:min(len(f.list), formerPiece)]
	var few [4]topic.Filter // most have no more, and need no memory
	filters := few[:0]
	for i := range piece {
		if filters = append(filters, piece[i].filter); piece[i].filter.Share != "" {
			h.shared.Add(-1)
		}
	}
	h.routes.UnsubscribeAll(f.client, filters)
	f.list = f.list[len(piece):]
	return len(f.list) > 0
}
