package transport

import "errors"

// errAgain: the socket takes or has nothing now.
var errAgain = errors.New("would block")

// writeRounds bounds how often one flush looks for output that others appended
// meanwhile, so that no batch works for others for ever.
const writeRounds = 4

// flush writes the output as far as the socket takes it, unless somebody else
// is doing so.
func (c *Conn) flush(b *Batch) {
	c.mu.Lock()
	c.flags &^= dirty
	if c.flags&(writing|blocked|dead) != 0 {
		c.mu.Unlock()
		return
	}
	c.write(b, c.tryWrite)
	c.mu.Unlock()
}

// write takes the writing role and hands the output to to. It is called with
// the mutex held and returns with the mutex held, but not while it writes.
func (c *Conn) write(b *Batch, to func([]byte) (int, error)) {
	c.flags |= writing
	for round := 0; c.flags&(broken|dead) == 0 && c.hasOutput(); round++ {
		if round == writeRounds && c.st == nil {
			c.post(doWrite)
			break
		}
		chain := c.head
		c.head, c.last = nil, nil
		c.mu.Unlock()
		taken, rest, err := c.writeChain(b, chain, to)
		c.mu.Lock()
		c.buffered -= taken
		c.unread(rest)
		if err != nil {
			c.writeFailed(b, err, taken)
			break
		}
		c.flags &^= blocked
	}
	c.flags &^= writing
	c.wrote(b)
}

func (c *Conn) hasOutput() bool { return c.head != nil || c.tls != nil && c.tls.hasOutput() }

// unread puts a chain back in front of the output.
func (c *Conn) unread(chain *buffer) {
	if chain == nil {
		return
	}
	end := chain
	for end.next != nil {
		end = end.next
	}
	end.next = c.head
	c.head = chain
	if c.last == nil {
		c.last = end
	}
}

// writeFailed notes why writing stopped. The mutex is held.
func (c *Conn) writeFailed(b *Batch, err error, progress int) {
	if err == errAgain {
		if c.flags&blocked == 0 || progress > 0 {
			if c.flags&(shaking|finishing) == 0 {
				c.deadline = b.Now + c.l.s.cfg.WriteTimeout.Milliseconds()
			}
		}
		if c.flags&blocked == 0 {
			c.flags |= blocked
			if c.st != nil {
				c.st.startWriter()
			} else {
				c.post(doWatch)
			}
		}
		return
	}
	c.flags |= broken
	if c.flags&closing == 0 {
		c.cause = err // until the peer's last words say better why
	}
	c.post(doBroken)
}

// wrote ends the writing role. The mutex is held.
func (c *Conn) wrote(b *Batch) {
	if c.flags&(broken|dead) != 0 {
		c.flags &^= blocked
		c.dropOutput(b)
	}
	c.charge()
	if c.flags&dead != 0 {
		c.closeSocket()
		return
	}
	c.watch()
	c.checkDrained()
	if c.flags&finishing != 0 && !c.hasOutput() {
		c.post(doFlushed)
	}
}

func (c *Conn) dropOutput(b *Batch) {
	b.stash.putAll(c.head)
	c.head, c.last, c.buffered = nil, nil, 0
	if c.tls != nil {
		c.tls.dropOutput()
	}
	c.charge()
}

// writeChain writes the buffers of chain, which the caller took out of the
// output. It returns how many bytes the socket took and what is left.
func (c *Conn) writeChain(b *Batch, chain *buffer, to func([]byte) (int, error)) (taken int, rest *buffer, err error) {
	if c.tls != nil {
		return c.tls.writeChain(b, chain, to)
	}
	for chain != nil {
		taken -= c.seal(chain)
		for chain.r < chain.w {
			n, err := to(chain.bytes())
			taken += n
			chain.r += n
			if err != nil {
				return taken, chain, err
			}
		}
		next := chain.next
		b.stash.put(chain)
		chain = next
	}
	return taken, nil, nil
}
