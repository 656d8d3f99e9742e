package transport

import (
	"bytes"
	"fmt"
)

// Input is read into the window of a connection, decoded there if it has
// WebSocket frames, and given to the handler in place. What the handler leaves
// is kept as the tail, from the pool, until more arrives.

// smallTail is how much of a tail is rather copied in front of the next input
// than that input behind the tail.
const smallTail = 16 << 10

// window returns where to put the next input: at dst[t:]; dst[:t] is the tail.
func (c *Conn) window(b *Batch) (dst []byte, t int) {
	if c.tail == nil {
		return b.scratch(), 0
	}
	scratch := b.scratch()
	if t = c.tail.len(); t <= smallTail && t <= len(scratch)/2 {
		copy(scratch, c.tail.bytes())
		return scratch, t
	}
	if len(c.tail.b)-c.tail.r < 2*t && c.tail.room() < len(scratch)/2 {
		p := b.stash.get(2 * t)
		p.w = copy(p.b, c.tail.bytes())
		b.stash.put(c.tail)
		c.tail = p
	}
	return c.tail.b[c.tail.r:], t
}

// keep makes rest the tail. rest is part of a window: of the scratch memory or
// of the tail itself.
func (c *Conn) keep(b *Batch, rest []byte) {
	if len(rest) == 0 {
		b.stash.put(c.tail)
		c.tail = nil
		return
	}
	if p := c.tail; p != nil && len(rest) <= len(p.b) {
		if fits := classFor(len(rest)) == p.class; fits && p.class != unpooled || p.class == unpooled && len(rest) > len(p.b)/4 {
			p.r, p.w = 0, copy(p.b, rest)
			return
		}
	}
	p := b.stash.get(len(rest))
	p.w = copy(p.b, rest)
	b.stash.put(c.tail)
	c.tail = p
}

// input takes bytes that were read elsewhere and hands them on.
func (c *Conn) input(b *Batch, raw []byte) error {
	for len(raw) > 0 {
		dst, t := c.window(b)
		n := copy(dst[t:], raw)
		raw = raw[n:]
		if err := c.deliver(b, dst, t, n); err != nil {
			return err
		}
	}
	return nil
}

// deliver hands on a window: dst[:t] is the tail, followed by n new bytes.
func (c *Conn) deliver(b *Batch, dst []byte, t, n int) error {
	var failed error
	if c.ws != nil {
		if !c.ws.upgraded {
			var err error
			if n, err = c.ws.upgrade(c, b, dst[:t+n]); err != nil || !c.ws.upgraded {
				return err
			}
			t = 0
		}
		n, failed = c.ws.decode(c, b, dst[t:t+n])
	} else if !c.begun {
		if err := firstBytes(dst[:t+n]); err != nil {
			return err
		}
		c.begun = true
	}
	data := dst[:t+n]
	used := 0
	if len(data) > 0 && !c.halted.Load() {
		var err error
		used, err = c.h.Feed(b, data)
		if err != nil {
			return err
		}
		if used < 0 || used > len(data) {
			return fmt.Errorf("handler consumed %d of %d bytes", used, len(data))
		}
	}
	c.keep(b, data[used:])
	return failed
}

// firstBytes names the peers that are often pointed at the wrong port.
func firstBytes(p []byte) error {
	switch {
	case len(p) >= 2 && p[0] == 0x16 && p[1] == 0x03:
		return ErrTLSOnPlain
	case bytes.HasPrefix(p, []byte("GET /")), bytes.HasPrefix(p, []byte("POST /")):
		return ErrHTTPOnPlain
	}
	return nil
}
