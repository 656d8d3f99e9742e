package disk

import (
	"slices"
	"weak"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
)

// session is what the index knows of a session: all but identity, will, filters
// and messages. The store's mutex guards it.
type session struct {
	opened  int64
	closed  int64
	epoch   uint32
	expiry  uint32
	hasWill bool

	subs     digests
	incoming []uint16 // rising
	queue    queue

	inflight      int // entries of queue with a packet identifier
	grouped       int // entries of shared subscriptions
	waitingBytes  int64
	inflightBytes int64
}

func (s *session) waiting() int { return s.queue.n - s.inflight }

// openID reports whether the QoS 2 identifier was not open.
func (s *session) openID(pid uint16) bool {
	i, found := slices.BinarySearch(s.incoming, pid)
	if !found {
		s.incoming = slices.Insert(s.incoming, i, pid)
	}
	return !found
}

// releaseID reports whether the QoS 2 identifier was open.
func (s *session) releaseID(pid uint16) bool {
	i, found := slices.BinarySearch(s.incoming, pid)
	if !found {
		return false
	}
	s.incoming = slices.Delete(s.incoming, i, i+1)
	if len(s.incoming) == 0 {
		s.incoming = nil
	}
	return true
}

// push queues e behind all others.
func (s *session) push(e entry) {
	if e.flags&entryGroup != 0 {
		s.grouped++
	}
	if e.pid == 0 {
		s.waitingBytes += int64(e.size)
	} else {
		s.inflightBytes += int64(e.size)
		s.inflight++
	}
	s.queue.push(e)
}

// send gives e the packet identifier.
func (s *session) send(e *entry, pid uint16) {
	if e.pid == 0 {
		s.waitingBytes -= int64(e.size)
		s.inflightBytes += int64(e.size)
		s.inflight++
	}
	e.pid = pid
}

// pop takes out what is at the place that find returned.
func (s *session) pop(at place) entry {
	e := s.queue.remove(at)
	s.ungroup(&e)
	if e.pid == 0 {
		s.waitingBytes -= int64(e.size)
	} else {
		s.inflightBytes -= int64(e.size)
		s.inflight--
	}
	return e
}

// ungroup forgets that e came by a shared subscription.
func (s *session) ungroup(e *entry) {
	if e.flags&entryGroup != 0 {
		e.flags &^= entryGroup
		s.grouped--
	}
}

// entry is one delivery in the index.
type entry struct {
	seq     store.Seq
	expires int64  // of its message, unix ms; 0: never, or the share has it
	size    uint32 // what its message counts for; 0 when released
	pid     uint16 // 0: it waits
	flags   uint8
}

const (
	entryReleased = 1 << iota // only the packet identifier is left
	entryShared               // the message has other recipients, too
	entryProgress             // its progress was written
	entryGroup                // it came by a shared subscription
)

// A queue holds entries in the order of their sequence numbers, in chunks:
// they are added at the end, and taken out anywhere, mostly in front.
type queue struct {
	chunks [][]entry // none is empty
	n      int
}

const chunkLen = 128

// place is where an entry is, until the queue changes.
type place struct{ chunk, at int }

func (q *queue) push(e entry) {
	q.n++
	last := len(q.chunks) - 1
	switch {
	case last < 0 && cap(q.chunks) > 0: // what remove has left there, if anything
		q.chunks = q.chunks[:1]
		q.chunks[0] = append(q.chunks[0][:0], e)
	case last < 0:
		q.chunks = append(q.chunks, []entry{e})
	case len(q.chunks[last]) == chunkLen:
		q.chunks = append(q.chunks, append(make([]entry, 0, chunkLen), e))
	default:
		q.chunks[last] = append(q.chunks[last], e)
	}
}

// last returns the highest sequence number, 0 when there is none.
func (q *queue) last() store.Seq {
	if q.n == 0 {
		return 0
	}
	c := q.chunks[len(q.chunks)-1]
	return c[len(c)-1].seq
}

func bySeq(e entry, seq store.Seq) int {
	if e.seq < seq {
		return -1
	}
	if e.seq > seq {
		return 1
	}
	return 0
}

// seek returns the place of the first entry that is not below seq, and whether
// it is seq. The place may be behind the end.
func (q *queue) seek(seq store.Seq) (place, bool) {
	i := 0
	if q.n > 0 && q.chunks[0][len(q.chunks[0])-1].seq < seq { // deliveries end in order, most of the time
		i, _ = slices.BinarySearchFunc(q.chunks, seq, func(c []entry, seq store.Seq) int { return bySeq(c[len(c)-1], seq) })
	}
	if i == len(q.chunks) {
		return place{i, 0}, false
	}
	j, found := slices.BinarySearchFunc(q.chunks[i], seq, bySeq)
	return place{i, j}, found
}

func (q *queue) get(at place) *entry { return &q.chunks[at.chunk][at.at] }

// from calls yield for the entries from the place on.
func (q *queue) from(at place, yield func(*entry) bool) {
	for i, j := at.chunk, at.at; i < len(q.chunks); i, j = i+1, 0 {
		c := q.chunks[i]
		for ; j < len(c); j++ {
			if !yield(&c[j]) {
				return
			}
		}
	}
}

func (q *queue) remove(at place) entry {
	c := q.chunks[at.chunk]
	e := c[at.at]
	q.n--
	c = slices.Delete(c, at.at, at.at+1)
	switch {
	case len(c) == 0 && q.n == 0 && cap(c) <= 8:
		q.chunks[0] = c
		q.chunks = q.chunks[:0] // push takes it up again
	case len(c) == 0:
		q.chunks = slices.Delete(q.chunks, at.chunk, at.chunk+1)
		if q.n == 0 {
			q.chunks = nil
		}
	case cap(c) >= 32 && len(c)*8 <= cap(c) && at.chunk < len(q.chunks)-1:
		q.chunks[at.chunk] = slices.Clone(c)
	default:
		q.chunks[at.chunk] = c
	}
	return e
}

// share is a message with several recipients. It is stored once and forgotten
// with its last delivery.
type share struct {
	refs    int
	expires int64 // unix ms; 0: never
	size    uint32
	// msg is the message for as long as somebody else holds it, so that many
	// receivers who read it at the same time hold one copy.
	msg weak.Pointer[message.Message]
}
