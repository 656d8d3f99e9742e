package client

import (
	"slices"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// queued is a message in the outbox of a Keeper.
type queued struct {
	keeper  *Keeper
	message *packet.Publish // made of encoded
	encoded []byte          // as in the journal
	since   time.Time       // when it was queued; the Message Expiry Interval counts from here
	seq     uint64          // in the journal; 0: not there
	order   uint64          // of sending
	flying  bool            // guarded by Keeper.mu: with the Client, or sent and not acknowledged
	id      uint16          // guarded by Keeper.mu: the packet identifier in the journal; 0: none
	taken   bool            // guarded by Keeper.mu: PUBREC has come
	done    func(packet.Ack, error)
}

// overhead is what a queued message costs beside its own bytes, roughly.
const overhead = 256

func (q *queued) size() int { return len(q.encoded) + overhead }

// outbox is what a Keeper has to send: messages that wait, in order, and those that fly. It is a plain data structure; the
// Keeper's lock guards it.
type outbox struct {
	maxMessages, maxBytes int

	waiting []*queued
	flying  map[*queued]struct{}
	writing map[*queued]struct{} // admitted, appended to the journal, and not pushed before that is durable
	count   int                  // of all messages, including those that are being written
	bytes   int
	order   uint64
}

// room reports whether a message of so many bytes can come in. One always can when there is no other.
func (b *outbox) room(size int) bool {
	return b.count == 0 || b.count < b.maxMessages && b.bytes+size <= b.maxBytes
}

// admit takes room.
func (b *outbox) admit(size int) {
	b.count++
	b.bytes += size
}

// leave gives room back.
func (b *outbox) leave(size int) {
	b.count--
	b.bytes -= size
}

// write notes that an admitted message is being written.
func (b *outbox) write(q *queued) {
	if b.writing == nil {
		b.writing = make(map[*queued]struct{})
	}
	b.writing[q] = struct{}{}
}

// push puts an admitted message at the end.
func (b *outbox) push(q *queued) {
	delete(b.writing, q)
	b.order++
	q.order = b.order
	b.waiting = append(b.waiting, q)
}

// pop takes the first message, which flies from now on. It is nil when nothing waits.
func (b *outbox) pop() *queued {
	if len(b.waiting) == 0 {
		return nil
	}
	q := b.waiting[0]
	b.waiting[0] = nil
	b.waiting = b.waiting[1:]
	b.fly(q)
	return q
}

func (b *outbox) fly(q *queued) {
	if b.flying == nil {
		b.flying = make(map[*queued]struct{})
	}
	q.flying = true
	b.flying[q] = struct{}{}
}

// putBack lets messages that flew wait again, in front of all that were queued later.
func (b *outbox) putBack(list ...*queued) {
	for _, q := range list {
		delete(b.flying, q)
		q.flying = false
	}
	b.waiting = append(list, b.waiting...)
	slices.SortFunc(b.waiting, func(a, b *queued) int {
		if a.order < b.order {
			return -1
		}
		return 1
	})
}

// oldest takes the message that waits longest out, nil if none waits.
func (b *outbox) oldest() *queued {
	q := b.pop()
	if q != nil {
		b.remove(q)
	}
	return q
}

// remove forgets a message that flies. It reports false if that had happened before.
func (b *outbox) remove(q *queued) bool {
	if _, ok := b.flying[q]; !ok {
		return false
	}
	delete(b.flying, q)
	q.flying = false
	b.leave(q.size())
	return true
}

// all lists every message in order: those that fly and then those that wait.
func (b *outbox) all() []*queued {
	list := make([]*queued, 0, len(b.flying)+len(b.waiting))
	for q := range b.flying {
		list = append(list, q)
	}
	list = append(list, b.waiting...)
	slices.SortFunc(list, func(a, b *queued) int {
		if a.order < b.order {
			return -1
		}
		return 1
	})
	return list
}
