package transport

import "sync"

// classSizes are the sizes in which memory is pooled. Input tails that outgrow
// the last are allocated for the purpose and left to the collector.
var classSizes = [...]int{1 << 10, 8 << 10, 64 << 10}

// maxKept is how many buffers of each class one Batch keeps for itself, about
// 1 MiB in all; the rest goes to the shared pool, which shrinks with time.
var maxKept = [len(classSizes)]int{512, 32, 4}

const (
	maxChunk = 64 << 10 // bytes of the largest pooled class
	unpooled = -1
)

// buffer is a piece of memory with bytes r to w in use. Chains of them are the
// output of a connection, a single one is its unconsumed input.
type buffer struct {
	next  *buffer
	b     []byte
	r, w  int
	class int8
	// sealed buffers take no more bytes: they end with a finished frame.
	sealed bool
}

func (p *buffer) bytes() []byte { return p.b[p.r:p.w] }
func (p *buffer) len() int      { return p.w - p.r }
func (p *buffer) room() int     { return len(p.b) - p.w }

// pools is the memory that all batches of a Server share.
type pools struct {
	classes [len(classSizes)]sync.Pool
}

func (ps *pools) get(n int) *buffer {
	class := classFor(n)
	if class == unpooled {
		return &buffer{b: make([]byte, n), class: unpooled}
	}
	if p, ok := ps.classes[class].Get().(*buffer); ok {
		return p
	}
	return &buffer{b: make([]byte, classSizes[class]), class: class}
}

func (ps *pools) put(p *buffer) {
	if p.class == unpooled {
		return
	}
	p.next, p.r, p.w, p.sealed = nil, 0, 0, false
	ps.classes[p.class].Put(p)
}

// classFor returns the smallest class that holds n bytes.
func classFor(n int) int8 {
	for i, size := range classSizes {
		if n <= size {
			return int8(i)
		}
	}
	return unpooled
}

// stash is the part of the pool that one batch keeps without a lock.
type stash struct {
	shared *pools
	free   [len(classSizes)]*buffer
	kept   [len(classSizes)]int
}

// get returns an empty buffer of at least n bytes.
func (s *stash) get(n int) *buffer {
	class := classFor(n)
	if class != unpooled {
		if p := s.free[class]; p != nil {
			s.free[class] = p.next
			s.kept[class]--
			p.next = nil
			return p
		}
	}
	return s.shared.get(n)
}

// put takes back a buffer; nil is allowed.
func (s *stash) put(p *buffer) {
	if p == nil || p.class == unpooled {
		return
	}
	if s.kept[p.class] >= maxKept[p.class] {
		s.shared.put(p)
		return
	}
	p.r, p.w, p.sealed = 0, 0, false
	p.next = s.free[p.class]
	s.free[p.class] = p
	s.kept[p.class]++
}

// putAll takes back a chain.
func (s *stash) putAll(p *buffer) {
	for p != nil {
		next := p.next
		s.put(p)
		p = next
	}
}
