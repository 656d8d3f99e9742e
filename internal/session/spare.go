package session

import (
	"math/bits"
	"sync"
)

// Spare is memory that all sessions share: under load it is taken and given back many times a second, and idle sessions have
// none of it. The zero value is ready. It may be used by several goroutines. A nil Spare has nothing to spare.
type Spare struct {
	rings     [maxPooled + 1]sync.Pool // of *[]Entry with 2 to the power of the index entries, all zero
	outbounds sync.Pool                // of *outbound, zero but for a small ring
	incomings sync.Pool                // of map[uint16]bool, empty and small
}

const maxPooled = 10 // windows of more than 1024 entries are rare

// ring returns n zero entries; n is a power of two.
func (p *Spare) ring(n int) []Entry {
	if i := bits.Len(uint(n)) - 1; p != nil && i <= maxPooled {
		if ring, ok := p.rings[i].Get().(*[]Entry); ok {
			return *ring
		}
	}
	return make([]Entry, n)
}

// putRing takes back zero entries that came from ring.
func (p *Spare) putRing(ring []Entry) {
	if i := bits.Len(uint(len(ring))) - 1; p != nil && len(ring) > 0 && i <= maxPooled {
		p.rings[i].Put(&ring)
	}
}

// outbound returns one with nothing in it.
func (p *Spare) outbound() *outbound {
	if p != nil {
		if o, ok := p.outbounds.Get().(*outbound); ok {
			return o
		}
	}
	return new(outbound)
}

// putOutbound takes back one without messages.
func (p *Spare) putOutbound(o *outbound) {
	*o = outbound{win: window{ring: o.win.ring}}
	if p != nil {
		p.outbounds.Put(o)
	}
}

// incoming returns an empty map.
func (p *Spare) incoming() map[uint16]bool {
	if p != nil {
		if m, ok := p.incomings.Get().(map[uint16]bool); ok {
			return m
		}
	}
	return make(map[uint16]bool)
}

// putIncoming takes back a map that is empty and has never been large.
func (p *Spare) putIncoming(m map[uint16]bool) {
	if p != nil {
		p.incomings.Put(m)
	}
}
