package router

import (
	"math"
	"slices"
	"unsafe"

	"github.com/nightjarmq/nightjar/topic"
)

// walk is the scratch space of one look-up. It is pooled, so it keeps no subscriber between look-ups.
type walk[S comparable] struct {
	stack  []step[S]
	leaves []*leaf[S]
	subs   []sub[S]
	fresh  int // from here on, no subscriber occurs twice in subs
	groups []*Group[S]
	merge  merger[S]
}

// step is a node still to be visited, and where the rest of the name begins; ended if no level is left.
type step[S comparable] struct {
	n  *node[leaf[S]]
	at int
}

const ended = -1

// find collects the leaves of all filters that match name. The read lock must be held.
func (w *walk[S]) find(root *node[leaf[S]], name string) {
	if name == "" {
		return
	}
	if name[0] == '$' { // [MQTT-4.7.2-1]: go past the wildcards of the first level
		level, _, more := topic.NextLevel(name)
		w.push(root.child(level), after(0, level, more))
	} else {
		w.push(root, 0)
	}
	for len(w.stack) > 0 {
		s := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		if s.at == ended {
			w.take(s.n)
			w.take(s.n.child("#")) // "a/#" matches "a"
			continue
		}
		if s.n.kids == nil {
			continue
		}
		level, _, more := topic.NextLevel(name[s.at:])
		next := after(s.at, level, more)
		if s.n.kids.index != nil {
			w.take(s.n.child("#"))
			w.push(s.n.child("+"), next)
			w.push(s.n.child(level), next)
			continue
		}
		for _, kid := range s.n.kids.all {
			switch kid.level {
			case "#":
				w.take(kid)
			case "+", level:
				w.push(kid, next)
			}
		}
	}
}

// after returns where the level that follows begins.
func after(at int, level string, more bool) int {
	if !more {
		return ended
	}
	return at + len(level) + 1
}

func (w *walk[S]) push(n *node[leaf[S]], at int) {
	if n != nil {
		w.stack = append(w.stack, step[S]{n, at})
	}
}

func (w *walk[S]) take(n *node[leaf[S]]) {
	if n != nil && n.val != nil {
		w.leaves = append(w.leaves, n.val)
	}
}

// load takes what the leaves hold, for after the read lock is gone. If all subscribers come from one crowded filter,
// it returns their list instead, which other topics share.
func (w *walk[S]) load() (shared []Delivery[S]) {
	for _, l := range w.leaves {
		if l.more != nil {
			for _, g := range l.more.groups {
				w.groups = append(w.groups, g.snapshot())
			}
		}
	}
	if len(w.leaves) == 1 {
		if c := w.leaves[0].more; c != nil && len(c.subs.all) >= shareFrom {
			return c.snapshot()
		}
	}
	w.largestLast()
	for _, l := range w.leaves {
		w.fresh = len(w.subs)
		w.subs = l.subs(w.subs)
	}
	return nil
}

// largestLast puts the largest leaf last. Nobody is in one leaf twice, so that the others alone need be remembered.
func (w *walk[S]) largestLast() {
	at, most := 0, 0
	for i, l := range w.leaves {
		if l.more != nil && len(l.more.subs.all) > most {
			at, most = i, len(l.more.subs.all)
		}
	}
	if last := len(w.leaves) - 1; most > 0 {
		w.leaves[at], w.leaves[last] = w.leaves[last], w.leaves[at]
	}
}

// route makes a route of what was copied. No lock is needed.
func (w *walk[S]) route(shared []Delivery[S]) *Route[S] {
	var r *Route[S]
	switch {
	case len(w.subs) == 1:
		s := new(single[S])
		r, s.Subs = &s.Route, deliveries(s.one[:], w.subs)
	case len(w.subs) == 0:
		r = &Route[S]{Subs: shared, shared: shared != nil}
	case w.fresh == 0:
		r = &Route[S]{Subs: deliveries(make([]Delivery[S], len(w.subs)), w.subs)}
	default:
		r = &Route[S]{Subs: w.merge.deliveries(w.subs, w.fresh)}
	}
	if len(w.groups) > 0 {
		groups := slices.Clone(w.groups)
		r.groups = &groups
	}
	r.cost = w.cost(r)
	return r
}

// cost is what the memory of r alone comes to, in bytes.
func (w *walk[S]) cost(r *Route[S]) int32 {
	var d Delivery[S]
	n := int(unsafe.Sizeof(*r)) + 8*cap(r.Groups())
	if !r.shared {
		n += cap(r.Subs) * int(unsafe.Sizeof(d))
	}
	for i := range w.subs {
		if w.subs[i].id != 0 {
			n += int(unsafe.Sizeof(d.IDs()) + unsafe.Sizeof(uint32(0)))
		}
	}
	return int32(min(n, math.MaxInt32))
}

// keep is the number of elements of scratch space that outlive a look-up.
const keep = 4096

// reset forgets all subscribers and gives back space that only an unusual look-up needs.
func (w *walk[S]) reset() {
	w.stack = reuse(w.stack)
	w.leaves = reuse(w.leaves)
	w.subs, w.fresh = reuse(w.subs), 0
	w.groups = reuse(w.groups)
	w.merge.reset()
}

func reuse[E any](s []E) []E {
	if cap(s) > keep {
		return nil
	}
	clear(s[:cap(s)])
	return s[:0]
}
