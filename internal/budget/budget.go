package budget

import "sync/atomic"

const (
	// part of what is left is what one may hold.
	part = 2
	// least is what everybody may hold, in bytes.
	least = 4 << 10
)

// Budget is an amount of bytes that many share. The nil Budget has no end. All
// methods may be called from any goroutine.
type Budget struct {
	fixed, each   int64
	used, members atomic.Int64
}

// New returns a budget of fixed bytes, and each more for every member.
func New(fixed, each int64) *Budget { return &Budget{fixed: fixed, each: each} }

// Members counts n more members.
func (b *Budget) Members(n int) {
	if b != nil {
		b.members.Add(int64(n))
	}
}

// Add tells that n more bytes are held, or less if it is negative.
func (b *Budget) Add(n int) {
	if b != nil && n != 0 {
		b.used.Add(int64(n))
	}
}

// Used returns how many bytes are held.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// Size returns how many bytes there are.
func (b *Budget) Size() int64 {
	if b == nil {
		return 0
	}
	return b.fixed + b.each*b.members.Load()
}

// Share returns how many bytes one member may hold now, most at the most.
func (b *Budget) Share(most int) int {
	if b == nil {
		return most
	}
	left := (b.Size() - b.used.Load()) / part
	return int(min(max(left, least), int64(most)))
}
