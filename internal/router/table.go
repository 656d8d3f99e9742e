package router

import (
	"hash/maphash"
	"sync"

	"github.com/nightjarmq/nightjar/topic"
)

// Options are what a SUBSCRIBE says about one filter, as far as it concerns later messages.
type Options struct {
	QoS               byte // 0, 1 or 2
	NoLocal           bool
	RetainAsPublished bool
	ID                uint32 // Subscription Identifier, 0 for none
}

// Table is the index of all subscriptions. It is safe for concurrent use.
//
// A subscription is identified by its subscriber and its filter, where "$share/a/x", "$share/b/x" and "x" are three
// different filters. The table keeps no list of what one subscriber has; the session does.
type Table[S comparable] struct {
	versions versions
	none     Route[S]
	walks    sync.Pool // of *walk[S]

	mu    sync.RWMutex
	tree  tree[leaf[S]] // guarded by mu
	count int           // guarded by mu
}

// New returns an empty table.
func New[S comparable]() *Table[S] {
	t := &Table[S]{versions: versions{seed: maphash.MakeSeed()}}
	t.walks.New = func() any { return new(walk[S]) }
	return t
}

// Subscribe adds or replaces the subscription of s to f [MQTT-3.8.4-3] and tells whether s had it before. Whoever
// begins to match a name after Subscribe returned finds the subscription. f must be valid; its text is not kept.
func (t *Table[S]) Subscribe(s S, f topic.Filter, o Options) (existed bool) {
	if f.Share != "" {
		o.NoLocal = false // has no meaning there, and the protocol forbids it [MQTT-3.8.3-4]
	}
	x := newSub(s, o)
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.tree.grow(f.Filter)
	if n.val == nil {
		n.val = new(leaf[S])
	}
	var old sub[S]
	if f.Share == "" {
		old = n.val.put(x)
	} else {
		old = n.val.putShared(f.Share, f.Filter, x)
	}
	if old == x { // a resumed session says what is known already: let routes live
		return true
	}
	t.versions.touch(f.Filter)
	existed = old.bits != 0
	if !existed {
		t.count++
	}
	return existed
}

// Unsubscribe removes the subscription of s to f and tells whether s had it. Routes that were made before may still
// name s.
func (t *Table[S]) Unsubscribe(s S, f topic.Filter) (existed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unsubscribe(s, f)
}

// UnsubscribeAll removes the subscriptions of s to every one of filters and returns how many there were. It lets
// others in between if there are many.
func (t *Table[S]) UnsubscribeAll(s S, filters []topic.Filter) (removed int) {
	const atOnce = 64
	for len(filters) > 0 {
		n := min(atOnce, len(filters))
		t.mu.Lock()
		for _, f := range filters[:n] {
			if t.unsubscribe(s, f) {
				removed++
			}
		}
		t.mu.Unlock()
		filters = filters[n:]
	}
	return removed
}

// unsubscribe needs the write lock.
func (t *Table[S]) unsubscribe(s S, f topic.Filter) (existed bool) {
	n := t.tree.trace(f.Filter)
	if n == nil || n.val == nil {
		return false
	}
	if f.Share == "" {
		existed = n.val.drop(s)
	} else {
		existed = n.val.dropShared(f.Share, s)
	}
	if !existed {
		return false
	}
	if n.val.empty() {
		n.val = nil
		t.tree.prune()
	}
	t.count--
	t.versions.touch(f.Filter)
	return true
}

// Match finds who receives a message with this topic name, by walking the trie. It never returns nil. Event loops
// use [Cache.Match].
func (t *Table[S]) Match(name string) *Route[S] {
	w := t.walks.Get().(*walk[S])
	t.mu.RLock()
	w.find(&t.tree.root, name)
	shared := w.load()
	t.mu.RUnlock()

	r := &t.none
	if len(w.subs) > 0 || len(w.groups) > 0 || shared != nil {
		r = w.route(shared)
	}
	w.reset()
	t.walks.Put(w)
	return r
}

// Len returns the number of subscriptions; every member of a group is one.
func (t *Table[S]) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.count
}
