package router

import (
	"strings"

	"github.com/nightjarmq/nightjar/topic"
)

// node is one level of a filter or name. A node with neither value nor children does not exist, except for the root.
type node[P any] struct {
	level string
	kids  *set[string, *node[P]] // nil when there are none
	val   *P                     // nil when no filter or name ends here
}

func (n *node[P]) key() string { return n.level }

func (n *node[P]) child(level string) *node[P] {
	if n.kids == nil {
		return nil
	}
	if i := n.kids.find(level); i >= 0 {
		return n.kids.all[i]
	}
	return nil
}

// tree is a trie over levels with an optional value at each node. Whoever owns it guards it: get needs a read lock,
// everything else the write lock.
type tree[P any] struct {
	root node[P]
	path []*node[P] // from the root to the node that trace found; reused between calls
}

// get returns the value at text, nil if there is none.
func (t *tree[P]) get(text string) *P {
	n := &t.root
	for more := true; more; {
		var level string
		level, text, more = topic.NextLevel(text)
		if n = n.child(level); n == nil {
			return nil
		}
	}
	return n.val
}

// grow returns the node at text and makes it and its ancestors where they are missing. The caller sets its value.
// Levels are copied: a node must not keep a long text alive of which it is but a part.
func (t *tree[P]) grow(text string) *node[P] {
	n := &t.root
	for more := true; more; {
		var level string
		level, text, more = topic.NextLevel(text)
		next := n.child(level)
		if next == nil {
			next = &node[P]{level: strings.Clone(level)}
			if n.kids == nil {
				n.kids = new(set[string, *node[P]])
			}
			n.kids.add(next)
		}
		n = next
	}
	return n
}

// trace returns the node at text and remembers the way to it for prune. It returns nil if there is none.
func (t *tree[P]) trace(text string) *node[P] {
	n := &t.root
	t.path = append(t.path[:0], n)
	for more := true; more; {
		var level string
		level, text, more = topic.NextLevel(text)
		if n = n.child(level); n == nil {
			return nil
		}
		t.path = append(t.path, n)
	}
	return n
}

// prune removes the node that trace found, and those above it, as far as they have neither value nor children.
func (t *tree[P]) prune() {
	for i := len(t.path) - 1; i > 0; i-- {
		n, parent := t.path[i], t.path[i-1]
		if n.val != nil || n.kids != nil {
			break
		}
		parent.kids.remove(parent.kids.find(n.level))
		if len(parent.kids.all) == 0 {
			parent.kids = nil
		}
	}
	clear(t.path)
}
