package router

import (
	"math"
	"slices"
	"sync"

	"github.com/nightjarmq/nightjar/topic"
)

// Retained is an index of values by topic name, for retained messages. It is safe for concurrent use.
type Retained[V any] struct {
	mu    sync.RWMutex
	tree  tree[item[V]] // guarded by mu
	count int           // guarded by mu
	last  uint64        // guarded by mu; the number of the last Set
}

// item is immutable, so that it may be read without the lock.
type item[V any] struct {
	name string
	v    V
	n    uint64 // of its Set
}

// NewRetained returns an empty index.
func NewRetained[V any]() *Retained[V] { return new(Retained[V]) }

// Set puts v at name and returns what it replaces. name must be valid; it is kept, at no cost if v holds it too.
func (r *Retained[V]) Set(name string, v V) (old V, existed bool) {
	it := &item[V]{name: name, v: v}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	it.n = r.last
	n := r.tree.grow(name)
	if n.val != nil {
		old, existed = n.val.v, true
	} else {
		r.count++
	}
	n.val = it
	return old, existed
}

// Get returns what is at name.
func (r *Retained[V]) Get(name string) (v V, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if it := r.tree.get(name); it != nil {
		return it.v, true
	}
	return v, false
}

// Delete removes what is at name and returns it.
func (r *Retained[V]) Delete(name string) (old V, existed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.tree.trace(name)
	if n == nil || n.val == nil {
		return old, false
	}
	old = n.val.v
	n.val = nil
	r.tree.prune()
	r.count--
	return old, true
}

// Last returns the number of the last Set: they are counted. See [Retained.Search].
func (r *Retained[V]) Last() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.last
}

// Len returns the number of values.
func (r *Retained[V]) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.count
}

// Match yields the values whose names the filter matches, in no particular order, until yield returns false. It tells
// whether it came to the end. The filter must be valid and without $share.
//
// No lock is held while yield runs, and none for long in between: yield may take its time and may change the index.
// Hence a name that has a value all the while is yielded exactly once, with a value that it had at some moment during
// the call; a name that is set or deleted meanwhile is yielded once or not at all, whereby a value may be yielded that
// was deleted an instant ago.
func (r *Retained[V]) Match(filter string, yield func(name string, v V) bool) bool {
	for s := r.Search(filter, math.MaxUint64); !s.Done(); {
		s.next(atOnce)
		for _, it := range s.found {
			if !yield(it.name, it.v) {
				return false
			}
		}
	}
	return true
}

// Search begins a Match that goes on step by step, without the values that were set after the Set with the number last. It
// looks at nothing before the first Next.
func (r *Retained[V]) Search(filter string, last uint64) *Search[V] {
	first, _, _ := topic.NextLevel(filter)
	s := &Search[V]{r: r, filter: filter, wild: topic.IsWildcard(first), last: last}
	s.nodes(0, &r.tree.root)
	return s
}

// Search is a walk that can be interrupted, for as long as one likes. One goroutine at a time uses it. Nodes that are cut
// off the tree meanwhile are empty and do no harm.
type Search[V any] struct {
	r      *Retained[V]
	filter string
	wild   bool   // the filter begins with a wildcard
	last   uint64 // values with a higher number are left out
	stack  []pending[V]
	found  []*item[V]
}

// atOnce is how many nodes are visited under one lock.
const atOnce = 1024

// Next visits some nodes, yields the values that it finds, and returns how many nodes it visited.
func (s *Search[V]) Next(yield func(v V)) (visited int) {
	visited = s.next(atOnce)
	for _, it := range s.found {
		yield(it.v)
	}
	return visited
}

// Done reports whether there is nothing left to visit.
func (s *Search[V]) Done() bool { return len(s.stack) == 0 }

func (s *Search[V]) next(most int) (visited int) {
	s.found = s.found[:0]
	s.r.mu.RLock()
	defer s.r.mu.RUnlock()
	for len(s.stack) > 0 && visited < most {
		s.step()
		visited++
	}
	return visited
}

// pending are nodes still to be visited: one, or a copied list of many.
type pending[V any] struct {
	n    *node[item[V]]
	many []*node[item[V]]
	at   int // where the rest of the filter begins, ended or everything
}

// everything is the rest "#" of a filter, once its node was reached.
const everything = -2

// nodes puts nodes on the stack. A list of many is copied, which is quick, so that it can be worked off later.
func (s *Search[V]) nodes(at int, ns ...*node[item[V]]) {
	if len(ns) > narrow {
		s.stack = append(s.stack, pending[V]{many: slices.Clone(ns), at: at})
		return
	}
	for _, n := range ns {
		s.stack = append(s.stack, pending[V]{n: n, at: at})
	}
}

// pop takes a node off the stack.
func (s *Search[V]) pop() (n *node[item[V]], at int) {
	top := &s.stack[len(s.stack)-1]
	n, at = top.n, top.at
	if n == nil {
		last := len(top.many) - 1
		n, top.many = top.many[last], top.many[:last]
	}
	if len(top.many) == 0 {
		*top = pending[V]{}
		s.stack = s.stack[:len(s.stack)-1]
	}
	return n, at
}

// step visits one node. The read lock must be held.
func (s *Search[V]) step() {
	n, at := s.pop()
	switch {
	case at == ended:
		s.take(n)
	case at == everything:
		s.take(n)
		s.children(everything, n)
	default:
		level, _, more := topic.NextLevel(s.filter[at:])
		next := after(at, level, more)
		switch level {
		case "#": // also matches the parent
			s.take(n)
			s.children(everything, n)
		case "+":
			s.children(next, n)
		default:
			if kid := n.child(level); kid != nil {
				s.nodes(next, kid)
			}
		}
	}
}

func (s *Search[V]) children(at int, n *node[item[V]]) {
	if n.kids != nil {
		s.nodes(at, n.kids.all...)
	}
}

// take finds the value of a node, unless the filter begins with a wildcard and the name with $ [MQTT-4.7.2-1].
func (s *Search[V]) take(n *node[item[V]]) {
	if n.val != nil && n.val.n <= s.last && !(s.wild && n.val.name[0] == '$') {
		s.found = append(s.found, n.val)
	}
}
