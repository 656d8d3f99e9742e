package transport

import (
	"errors"

	"github.com/nightjarmq/nightjar/internal/ration"
)

// What the owner of a connection does, on both engines.

// begin makes a plain connection ready; the others get ready with their first
// input.
func (c *Conn) begin(b *Batch) {
	if c.tls == nil && c.ws == nil {
		c.ready(b)
		return
	}
	c.mu.Lock()
	c.flags |= shaking
	c.deadline = b.Now + c.l.s.cfg.HandshakeTimeout.Milliseconds()
	c.mu.Unlock()
}

// ready gives the connection its handler.
func (c *Conn) ready(b *Batch) {
	c.mu.Lock()
	c.flags &^= shaking
	if c.flags&blocked != 0 {
		c.deadline = b.Now + c.l.s.cfg.WriteTimeout.Milliseconds()
	}
	c.mu.Unlock()
	c.h = c.l.s.cfg.NewHandler(c, b)
}

// act does what was asked for by flags that mean the same on both engines.
func (c *Conn) act(b *Batch, do flags) {
	if do&doWrite != 0 {
		c.mu.Lock()
		c.touch(b)
		c.mu.Unlock()
	}
	if do&doShaken != 0 {
		if err := c.tls.shaken(b); err != nil {
			c.fail(err)
		}
	}
	if c.h == nil || c.isClosing() {
		return
	}
	if do&doDrain != 0 {
		c.h.Drained(b) // also of one that is paused
	}
	if do&doResume != 0 && c.tail != nil && !c.halted.Load() {
		dst, t := c.window(b)
		if err := c.deliver(b, dst, t, 0); err != nil {
			c.fail(err)
		}
	}
}

// fail closes the connection after its input could not be handled.
func (c *Conn) fail(err error) {
	if err == errHandover {
		c.ws.leaving = true
	}
	c.Close(err)
}

// isLeaving says that the connection was closed only to be handed to net/http.
func (c *Conn) isLeaving() bool { return c.ws != nil && c.ws.leaving }

// finish tells the handler that the connection was closed; from here on the
// engine only flushes.
func (c *Conn) finish(b *Batch) {
	c.mu.Lock()
	if c.flags&finishing != 0 {
		c.mu.Unlock()
		return
	}
	cause, unready := c.cause, c.flags&shaking != 0
	c.flags |= finishing
	c.flags &^= paused | held | shaking | wantDrain
	c.deadline = b.Now + c.l.s.cfg.CloseTimeout.Milliseconds()
	c.watch()
	c.mu.Unlock()
	if c.ws != nil {
		c.ws.bye(c, b, cause)
	}
	if c.tls != nil {
		c.tls.abort()
	}
	b.stash.put(c.tail)
	c.tail = nil
	h := c.h
	c.h = nil
	switch {
	case h != nil:
		h.Closed(b, cause)
	case unready && !errors.Is(cause, ErrServerClosed):
		c.logRefused(cause)
	}
}

// logRefused logs why a connection did not get ready.
func (c *Conn) logRefused(cause error) {
	left, ok := c.l.s.refused.Next(ration.Place(c.RemoteAddr()))
	if !ok {
		return
	}
	var rest []any
	if left > 0 {
		rest = []any{"unlogged", left}
	}
	c.l.s.cfg.Log.With(rest...).Info("connection refused", "listener", c.l.Name(), "peer", c.RemoteAddr(), "cause", cause)
}

func (c *Conn) isFinishing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flags&finishing != 0
}

func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flags&closing != 0
}

// flushed says whether everything has been written, including the end of the
// TLS session, or whether that will never be. The owner asks when it finishes.
func (c *Conn) flushed(b *Batch) (flushed, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&broken != 0 {
		return false, true
	}
	if c.flags&writing != 0 || c.hasOutput() {
		return false, false
	}
	if c.tls != nil && !c.tls.ended {
		c.tls.ended = true
		c.mu.Unlock()
		c.tls.bye()
		c.mu.Lock()
		if c.hasOutput() {
			c.touch(b)
			return false, false
		}
	}
	return true, false
}

// writeError returns why writing failed.
func (c *Conn) writeError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// peerEnded closes the connection because nothing more will arrive, but not
// before a running TLS handshake has brought to light what came with its end.
func (c *Conn) peerEnded(err error) {
	c.end()
	if c.tls == nil || !c.tls.peerEnded() {
		c.Close(err)
	}
}

// end notes that the peer has closed its side.
func (c *Conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags |= ended
	c.watch()
}

// isTimed says whether the deadline means something. The mutex is held.
func (c *Conn) isTimed() bool { return c.flags&(shaking|blocked|finishing) != 0 }

// late says whether the deadline has passed and whether there is one.
func (c *Conn) late(now int64) (late, timed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	timed = c.isTimed()
	return timed && now >= c.deadline, timed
}

// timeOut closes a connection that is late.
func (c *Conn) timeOut(b *Batch) {
	c.mu.Lock()
	cause := ErrHandshakeTimeout
	if c.flags&shaking == 0 {
		cause = ErrWriteTimeout
		c.flags |= broken
		c.flags &^= blocked
		if c.flags&writing == 0 {
			c.dropOutput(b)
		}
	}
	c.mu.Unlock()
	c.Close(cause)
}
