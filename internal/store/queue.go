package store

import (
	"slices"

	"github.com/nightjarmq/nightjar/internal/message"
)

// entry is one delivery in memory. It is 32 bytes so that a million of them
// cost little beside their messages; what few deliveries have is in more.
type entry struct {
	seq    Seq
	msg    *message.Message // nil: only the identifier is left
	more   *more
	size   uint32 // what msg counts for, kept here so that removal need not touch msg
	pid    uint16
	qos    byte
	retain bool
}

// more is what a delivery of a message with one recipient, no Subscription
// Identifier and no shared subscription does without.
type more struct {
	ids   []uint32
	group string // the shared subscription it came by
	share *share // nil: the message has this one delivery
}

// share counts the deliveries of one message.
type share struct{ refs int }

func (e *entry) export() Entry {
	x := Entry{Seq: e.seq, Message: e.msg, PacketID: e.pid, Released: e.msg == nil, QoS: e.qos, Retain: e.retain}
	if e.more != nil {
		x.IDs, x.Share = e.more.ids, e.more.group
	}
	return x
}

// A queue holds entries in the order of their sequence numbers. It is a list of
// sorted chunks, each an array of up to chunkLen entries: appending and removing
// in front are O(1), finding, inserting and removing elsewhere are a binary
// search and a move within one chunk. Three rules give memory back: an empty
// chunk goes, neighbours that fit into half a chunk are joined, and an array
// that is an eighth full or less is replaced by a small one.
type queue struct {
	chunks [][]entry // none is empty, but for a single small one that is kept for the next entry
	n      int
}

const (
	chunkLen = 64
	// smallCap is the capacity up to which a slice is known to lie in an
	// array that is no larger: taking from the front moves the rest instead
	// of cutting the slice.
	smallCap = 8
	// keptCap is the capacity of the chunk that an empty queue may keep.
	keptCap = 4
)

// insert adds e; its sequence number is in the queue already never.
func (q *queue) insert(e entry) {
	q.n++
	last := len(q.chunks) - 1
	if last < 0 {
		q.chunks = append(q.chunks, []entry{e})
		return
	}
	c := q.chunks[last]
	if len(c) > 0 && c[len(c)-1].seq > e.seq {
		q.insertWithin(e)
		return
	}
	if full(c) {
		q.chunks = append(q.chunks, append(make([]entry, 0, chunkLen), e))
		return
	}
	q.chunks[last] = append(c, e)
}

// full reports whether the next entry should begin another chunk rather than
// make this one grow.
func full(c []entry) bool { return len(c) == cap(c) && len(c) >= chunkLen/2 }

func (q *queue) insertWithin(e entry) {
	i := q.chunkOf(e.seq)
	c := q.chunks[i]
	if full(c) {
		half := len(c) / 2
		right := append(make([]entry, 0, chunkLen), c[half:]...)
		clear(c[half:])
		q.chunks[i] = c[:half]
		q.chunks = slices.Insert(q.chunks, i+1, right)
		if right[0].seq < e.seq {
			i++
		}
		c = q.chunks[i]
	}
	j, _ := search(c, e.seq)
	q.chunks[i] = slices.Insert(c, j, e)
}

// chunkOf returns the last chunk that begins at or before seq, or the first.
func (q *queue) chunkOf(seq Seq) int {
	i, found := slices.BinarySearchFunc(q.chunks, seq, func(c []entry, seq Seq) int { return compare(c[0].seq, seq) })
	if !found && i > 0 {
		i--
	}
	return i
}

func search(c []entry, seq Seq) (int, bool) {
	return slices.BinarySearchFunc(c, seq, func(e entry, seq Seq) int { return compare(e.seq, seq) })
}

func compare(a, b Seq) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// find returns where seq is.
func (q *queue) find(seq Seq) (chunk, at int, ok bool) {
	if q.n == 0 {
		return 0, 0, false
	}
	if q.chunks[0][0].seq == seq { // deliveries end in order, most of the time
		return 0, 0, true
	}
	i := q.chunkOf(seq)
	j, ok := search(q.chunks[i], seq)
	return i, j, ok
}

// get returns the entry seq, nil if there is none. It is valid until the queue
// is changed.
func (q *queue) get(seq Seq) *entry {
	i, j, ok := q.find(seq)
	if !ok {
		return nil
	}
	return &q.chunks[i][j]
}

// remove takes the entry seq out.
func (q *queue) remove(seq Seq) (entry, bool) {
	i, j, ok := q.find(seq)
	if !ok {
		return entry{}, false
	}
	c := q.chunks[i]
	e := c[j]
	if j == 0 {
		c = popFront(c)
	} else {
		c = slices.Delete(c, j, j+1)
	}
	q.n--
	q.settle(i, c)
	return e, true
}

// settle puts c in the place of chunk i, from which entries were removed.
func (q *queue) settle(i int, c []entry) {
	if len(c) == 0 {
		q.drop(i, c)
		return
	}
	if cap(c) > smallCap && len(c)*8 <= cap(c) {
		c = slices.Clone(c)
	}
	q.chunks[i] = c
	if i+1 < len(q.chunks) {
		q.join(i)
	}
	if i > 0 {
		q.join(i - 1)
	}
}

// drop takes out chunk i, which is empty.
func (q *queue) drop(i int, c []entry) {
	switch {
	case q.n == 0 && cap(c) > 0 && cap(c) <= keptCap && cap(q.chunks) <= smallCap:
		q.chunks[0] = c
	case q.n == 0:
		q.chunks = nil
	case i == 0:
		q.chunks = popFront(q.chunks)
	default:
		q.chunks = slices.Delete(q.chunks, i, i+1)
	}
}

// join makes one of the chunks i and i+1 if they fit into half of one.
func (q *queue) join(i int) {
	a, b := q.chunks[i], q.chunks[i+1]
	if len(a)+len(b) > chunkLen/2 {
		return
	}
	q.chunks[i] = append(a, b...)
	q.chunks = slices.Delete(q.chunks, i+1, i+2)
}

// popFront removes the first element.
func popFront[T any](s []T) []T {
	if cap(s) <= smallCap {
		return slices.Delete(s, 0, 1)
	}
	clear(s[:1])
	s = s[1:]
	if cap(s) <= smallCap {
		return slices.Clone(s)
	}
	return s
}

// appendAfter appends up to max entries behind after to dst.
func (q *queue) appendAfter(dst []Entry, after Seq, max int) []Entry {
	q.behind(after, max, func(e *entry) { dst = append(dst, e.export()) })
	return dst
}

// behind calls visit for up to max entries behind after, in order.
func (q *queue) behind(after Seq, max int, visit func(*entry)) {
	if q.n == 0 {
		return
	}
	i := q.chunkOf(after)
	j, found := search(q.chunks[i], after)
	if found {
		j++
	}
	for ; i < len(q.chunks) && max > 0; i, j = i+1, 0 {
		c := q.chunks[i][j:]
		c = c[:min(len(c), max)]
		max -= len(c)
		for k := range c {
			visit(&c[k])
		}
	}
}
