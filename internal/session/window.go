package session

// window holds the messages that were sent and not fully acknowledged, by
// packet identifier. Identifiers are given out in a circle, and acknowledged
// mostly in that order, so they are kept in a ring whose position follows from
// the identifier. An identifier that is never acknowledged would stretch the
// ring; once the ring is mostly holes its oldest entry moves to a map.
type window struct {
	ring  []Entry // length is a power of two, or zero
	head  int     // position of the identifier first
	span  int     // identifiers from first on that the ring covers
	first uint16  // meaningful while span > 0
	next  uint16  // the identifier before the next to be given out
	live  int     // entries in ring and late
	late  map[uint16]*Entry
}

// keepRing is the size up to which an empty ring stays allocated.
const keepRing = 16

func nextID(id uint16) uint16 {
	if id == 65535 {
		return 1
	}
	return id + 1
}

// distance counts the steps from identifier a to b in the circle 1..65535.
func distance(a, b uint16) int { return (int(b) - int(a) + 65535) % 65535 }

// add puts e in and returns its identifier, which is not in use. The caller has
// checked that fewer than 65535 are.
func (w *window) add(e *Entry) uint16 {
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
		return id
	}
}

// put restores an entry that has its identifier already.
func (w *window) put(e *Entry) {
	if w.late == nil {
		w.late = make(map[uint16]*Entry)
	}
	w.late[e.PacketID] = e
	w.live++
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
		w.grow()
	}
	slot := &w.ring[(w.head+w.span)&(len(w.ring)-1)]
	*slot = Entry{}
	w.span++
	return slot
}

// trimSparse moves the oldest entry out when the ring is mostly holes.
func (w *window) trimSparse() {
	for w.span > 4*(w.live-len(w.late))+64 {
		e := &w.ring[w.head]
		if e.PacketID != 0 {
			late := *e
			w.live--
			w.put(&late)
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
	if w.span == 0 && len(w.ring) > keepRing {
		w.ring = nil
	}
}

func (w *window) grow() {
	ring := make([]Entry, max(2, 2*len(w.ring)))
	for i := range w.span {
		ring[i] = w.ring[(w.head+i)&(len(w.ring)-1)]
	}
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
	return w.late[id]
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

// each yields all entries, the restored ones first, until yield returns false.
func (w *window) each(yield func(*Entry) bool) bool {
	for _, e := range w.late {
		if !yield(e) {
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
