package session

import (
	"cmp"
	"slices"
)

// window holds the messages that were sent and not fully acknowledged, by
// packet identifier. Identifiers are given out in a circle, and acknowledged
// mostly in that order, so they are kept in a ring whose position follows from
// the identifier. An identifier that is never acknowledged would stretch the
// ring; once the ring is mostly holes its oldest entry moves to a map, and so
// does that of a ring which covers all identifiers.
type window struct {
	ring  []Entry // length is a power of two, or zero
	head  int     // position of the identifier first
	span  int     // identifiers from first on that the ring covers
	first uint16  // meaningful while span > 0
	next  uint16  // the identifier before the next to be given out
	live  int     // entries in ring and late
	late  map[uint16]*late
	moved int // how many entries have come to late
	spare *Spare
}

// late is an entry out of the ring; n tells their order.
type late struct {
	Entry
	n int
}

const (
	// keepRing is the size up to which an empty ring stays allocated.
	keepRing = 4
	// identifiers are 1 to 65535.
	identifiers = 65535
	// mostInflight is how many entries a window holds. With half of the
	// identifiers free, the search for one passes each that is used once a
	// round: it takes constant time on average, in whatever order a client
	// acknowledges.
	mostInflight = identifiers / 2
)

func nextID(id uint16) uint16 {
	if id == identifiers {
		return 1
	}
	return id + 1
}

// distance counts the steps from identifier a to b in the circle 1..65535.
func distance(a, b uint16) int { return (int(b) - int(a) + identifiers) % identifiers }

// add puts a copy of e in, gives it an identifier that is not in use, and
// returns it. The caller has checked that fewer than mostInflight are.
// [MQTT-2.2.1-4]
func (w *window) add(e *Entry) *Entry {
	for {
		id := nextID(w.next)
		w.next = id
		slot := w.extend(id)
		if _, used := w.late[id]; used {
			continue // the slot stays a hole
		}
		*slot = *e
		slot.PacketID = id
		w.live++
		return slot
	}
}

// put restores a copy of an entry that has its identifier already. It takes the
// place of another with that identifier.
func (w *window) put(e *Entry) {
	if w.late == nil {
		w.late = make(map[uint16]*late)
	}
	if w.late[e.PacketID] == nil {
		w.live++
	}
	w.moved++
	w.late[e.PacketID] = &late{Entry: *e, n: w.moved}
}

// extend makes the ring cover id, the one behind its last.
func (w *window) extend(id uint16) *Entry {
	if w.span == 0 {
		w.first, w.head = id, 0
	}
	w.trimSparse()
	if w.span == 0 {
		w.first = id
	}
	if w.span == len(w.ring) {
		w.resize(max(2, 2*len(w.ring)))
	}
	slot := &w.ring[(w.head+w.span)&(len(w.ring)-1)]
	*slot = Entry{}
	w.span++
	return slot
}

// trimSparse moves the oldest entries out when the ring is mostly holes, or
// covers the whole circle.
func (w *window) trimSparse() {
	for w.span == identifiers || w.span > 4*(w.live-len(w.late))+64 {
		if e := &w.ring[w.head]; e.PacketID != 0 {
			w.live--
			w.put(e)
		}
		w.drop()
		w.shrink()
	}
}

// drop forgets the head of the ring.
func (w *window) drop() {
	w.ring[w.head] = Entry{}
	w.head = (w.head + 1) & (len(w.ring) - 1)
	w.first = nextID(w.first)
	w.span--
}

// shrink drops what is free at the head.
func (w *window) shrink() {
	for w.span > 0 && w.ring[w.head].PacketID == 0 {
		w.drop()
	}
	switch {
	case w.span == 0 && len(w.ring) > keepRing:
		w.spare.putRing(w.ring)
		w.ring = nil
	case len(w.ring) > keepRing && w.span <= len(w.ring)/8:
		w.resize(len(w.ring) / 4)
	}
}

func (w *window) resize(n int) {
	ring := w.spare.ring(n)
	for i := range w.span {
		ring[i] = w.ring[(w.head+i)&(len(w.ring)-1)]
	}
	clear(w.ring)
	w.spare.putRing(w.ring)
	w.ring, w.head = ring, 0
}

// get returns the entry with the identifier, nil if there is none. It is valid
// until the next change.
func (w *window) get(id uint16) *Entry {
	if id == 0 {
		return nil
	}
	if w.span > 0 {
		if d := distance(w.first, id); d < w.span {
			if e := &w.ring[(w.head+d)&(len(w.ring)-1)]; e.PacketID == id {
				return e
			}
		}
	}
	if e := w.late[id]; e != nil {
		return &e.Entry
	}
	return nil
}

// remove takes the entry with the identifier out.
func (w *window) remove(id uint16) {
	if e := w.late[id]; e != nil {
		delete(w.late, id)
		if len(w.late) == 0 {
			w.late = nil
		}
		w.live--
		return
	}
	e := w.get(id)
	if e == nil {
		return
	}
	*e = Entry{}
	w.live--
	w.shrink()
}

// each yields all entries in the order in which they were sent, until yield
// returns false.
func (w *window) each(yield func(*Entry) bool) bool {
	old := make([]*late, 0, len(w.late))
	for _, e := range w.late {
		old = append(old, e)
	}
	slices.SortFunc(old, func(a, b *late) int { return cmp.Compare(a.n, b.n) })
	for _, e := range old {
		if !yield(&e.Entry) {
			return false
		}
	}
	for i := range w.span {
		if e := &w.ring[(w.head+i)&(len(w.ring)-1)]; e.PacketID != 0 && !yield(e) {
			return false
		}
	}
	return true
}
