package session

// queue is a first-in-first-out list that gives memory back: blocks of a fixed
// size, so that a long queue is never copied and an empty one owns nothing.
type queue struct {
	head, tail *block
	n          int
	taken      int // how many were popped so far
}

const blockSize = 32

type block struct {
	next     *block
	from, to int
	entries  [blockSize]Entry
}

func (q *queue) push(e *Entry) {
	if q.tail == nil || q.tail.to == blockSize {
		b := new(block)
		if q.tail == nil {
			q.head = b
		} else {
			q.tail.next = b
		}
		q.tail = b
	}
	q.tail.entries[q.tail.to] = *e
	q.tail.to++
	q.n++
}

// front returns the first entry, nil if there is none; it is valid until pop.
func (q *queue) front() *Entry {
	if q.n == 0 {
		return nil
	}
	return &q.head.entries[q.head.from]
}

func (q *queue) pop() {
	b := q.head
	b.entries[b.from] = Entry{}
	b.from++
	q.n--
	q.taken++
	if b.from < b.to {
		return
	}
	q.head = b.next
	if q.head == nil {
		q.tail = nil
	}
}

func (q *queue) each(yield func(*Entry) bool) bool {
	for b := q.head; b != nil; b = b.next {
		for i := b.from; i < b.to; i++ {
			if !yield(&b.entries[i]) {
				return false
			}
		}
	}
	return true
}
