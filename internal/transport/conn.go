package transport

import (
	"crypto/tls"
	"math"
	"sync"
	"sync/atomic"
)

// flags is the shared state of a connection, guarded by Conn.mu.
type flags uint32

const (
	dirty     flags = 1 << iota // in the touched list of some batch
	writing                     // some goroutine writes and will look at the output again
	blocked                     // the socket is full; the owner writes when it is writable
	paused                      // Pause
	held                        // input of a running TLS handshake is enough for now
	wantDrain                   // Drained was asked for
	shaking                     // not ready yet: TLS handshake or WebSocket upgrade
	closing                     // Close was called
	finishing                   // the handler has gone; output is being flushed
	broken                      // writing failed, output is dropped
	ended                       // the peer has closed its side
	adopted                     // epoll knows the socket
	dead                        // the socket is closed, or will be when the writer leaves
	posted                      // in the owner's list of connections to look after

	// What the owner is asked to do.
	doAdopt
	doMove
	doShaken
	doResume
	doDrain
	doBroken
	doClose
	doFlushed
	doWatch
	doWrite

	doAny = doAdopt | doMove | doShaken | doResume | doDrain | doBroken | doClose | doFlushed | doWatch | doWrite
)

// controlReserve is how far SendControl may exceed the limit.
const controlReserve = 64 << 10

// Conn is one connection. Exported methods may be called from any goroutine.
//
// There are three parties to a connection. The owner, an event loop or the
// goroutine of a stream, reads, calls the handler and ends the connection; the
// fields of the first group are its own. Whoever flushes takes the writing
// role, one at a time, and writes without holding the mutex. Everybody else
// appends to the output, sets flags and posts the connection to its owner.
type Conn struct {
	// Owner.
	h     Handler // nil before the connection is ready and after Closed
	tail  *buffer // input that the handler did not consume
	ws    *wsStage
	slot  uint32 // index in the loop's table
	gen   uint32 // tells apart connections that had the same slot
	seen  uint16 // the loop's window in which input came last
	begun bool   // the first bytes were looked at
	final bool   // everything is written and our side is shut down
	timed bool   // in the loop's list of connections with a deadline

	// halted mirrors paused|held|closing for the owner's fast path.
	halted atomic.Bool

	// Immutable.
	fd   int32
	l    *Listener
	tls  *tlsStage
	st   *stream  // nil on an event loop
	via  *proxied // nil without a proxy
	peer addr

	mu       sync.Mutex // guards what follows; a leaf, but for loop.mu and tlsStage.mu
	flags    flags
	watched  uint32 // events asked of epoll
	loop     *loop
	buffered int
	charged  int     // bytes of memory that the budget knows of
	head     *buffer // output that nobody is writing at the moment
	last     *buffer
	deadline int64 // unix milliseconds, for shaking, blocked and finishing; else meaningless
	cause    error // of closing
}

// Send appends a copy of p to the output buffer and notes the connection in b,
// whose Flush writes it. It reports false, and nothing was appended, when the
// connection is closed or the buffer would exceed its limit; in the latter case
// the handler gets Drained. An empty buffer accepts a p of any length.
func (c *Conn) Send(b *Batch, p []byte) bool { return c.send(b, p, nil, 0) }

// Send2 is Send of head and tail together, without joining them first.
func (c *Conn) Send2(b *Batch, head, tail []byte) bool { return c.send(b, head, tail, 0) }

// SendControl is Send for small packets that must get through a full buffer
// (acknowledgements, the last packet before Close): it may exceed the limit by
// 64 KiB.
func (c *Conn) SendControl(b *Batch, p []byte) bool { return c.send(b, p, nil, controlReserve) }

// SendWhole is Send without a limit, for those who bound what they send by
// Buffered and cannot drop what must follow. It reports false when the
// connection is closed.
func (c *Conn) SendWhole(b *Batch, p []byte) bool { return c.send(b, p, nil, math.MaxInt/2) }

// OutLimit is how many bytes may be buffered now: Config.OutLimit, or the share
// of Config.Budget if that is less.
func (c *Conn) OutLimit() int { return c.l.s.cfg.Budget.Share(c.l.s.cfg.OutLimit) }

func (c *Conn) send(b *Batch, head, tail []byte, extra int) bool {
	n := len(head) + len(tail)
	c.mu.Lock()
	if c.flags&(closing|broken) != 0 {
		c.mu.Unlock()
		return false
	}
	if c.buffered > 0 {
		if limit := c.OutLimit() + extra; c.buffered+n > limit && !c.makeRoom(b, n, limit) {
			c.mu.Unlock()
			return false
		}
	}
	c.append(b, head, tail)
	c.touch(b)
	c.charge()
	c.mu.Unlock()
	b.pending += n
	return true
}

// makeRoom is called with the mutex held when n more bytes exceed the limit. A
// full buffer only counts when the socket is full too, so it writes first.
func (c *Conn) makeRoom(b *Batch, n, limit int) bool {
	if c.flags&(writing|blocked) == 0 {
		c.mu.Unlock()
		c.flush(b)
		c.mu.Lock()
		if c.flags&(closing|broken) != 0 {
			return false
		}
		if c.buffered == 0 || c.buffered+n <= limit {
			return true
		}
	}
	c.flags |= wantDrain
	return false
}

// charge tells the budget what memory is buffered: of the first buffer a part has
// been written, and the last has room. While the socket takes everything nothing
// counts: the buffers are empty again at the end of the batch. The mutex is held.
func (c *Conn) charge() {
	n := 0
	if c.flags&blocked != 0 {
		if n = c.buffered; c.head != nil {
			n += c.head.r + c.last.room()
		}
	}
	if n != c.charged {
		c.l.s.cfg.Budget.Add(n - c.charged)
		c.charged = n
	}
}

// touch notes the connection in b unless somebody will write anyway. The mutex
// is held.
func (c *Conn) touch(b *Batch) {
	if c.flags&(dirty|writing|blocked) == 0 {
		c.flags |= dirty
		b.touched = append(b.touched, c)
	}
}

// append copies head and tail to the end of the output. The mutex is held.
func (c *Conn) append(b *Batch, head, tail []byte) {
	n := len(head) + len(tail)
	c.buffered += n
	p := c.last
	if p == nil || p.sealed {
		p = c.chain(b, n)
	} else if p.room() < n && p == c.head && p.class != int8(len(classSizes)-1) {
		p = c.grow(b, n)
	}
	for _, s := range [2][]byte{head, tail} {
		for len(s) > 0 {
			if p.room() == 0 {
				p = c.chain(b, maxChunk)
			}
			k := copy(p.b[p.w:], s)
			p.w += k
			s = s[k:]
		}
	}
}

// chain adds a buffer for n bytes, or the first part of them, to the output.
func (c *Conn) chain(b *Batch, n int) *buffer {
	front := c.frameRoom()
	p := b.stash.get(min(n+front, maxChunk))
	p.r, p.w = front, front
	if c.last == nil {
		c.head = p
	} else {
		c.last.next = p
	}
	c.last = p
	return p
}

// grow moves the only buffer of the output to a larger one.
func (c *Conn) grow(b *Batch, n int) *buffer {
	old, front := c.last, c.frameRoom()
	p := b.stash.get(min(front+old.len()+n, maxChunk))
	p.r = front
	p.w = front + copy(p.b[front:], old.bytes())
	b.stash.put(old)
	c.head, c.last = p, p
	return p
}

// frameRoom is the space in front of every output buffer for the header of the
// WebSocket frame that it will be.
func (c *Conn) frameRoom() int {
	if c.ws != nil {
		return maxServerHeader
	}
	return 0
}

// sendRaw appends bytes that are framed already and are exempt from the limit
// and from Close. The owner calls it.
func (c *Conn) sendRaw(b *Batch, raw []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&broken != 0 {
		return
	}
	if c.last != nil && !c.last.sealed {
		c.buffered += c.seal(c.last)
	}
	for len(raw) > 0 {
		p := c.chain(b, len(raw))
		k := copy(p.b[p.r:], raw)
		p.w = p.r + k
		p.sealed = true
		c.buffered += k
		raw = raw[k:]
	}
	c.touch(b)
}

// seal writes the frame header in front of p, if the connection has frames and
// p has none. The mutex is held, or the caller took p out of the output.
func (c *Conn) seal(p *buffer) (added int) {
	if c.ws == nil || p.sealed {
		return 0
	}
	added = putServerHeader(p)
	p.sealed = true
	return added
}

// Buffered returns the number of bytes sent that the system did not take yet.
func (c *Conn) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buffered
}

// WantDrain asks for one call of Drained, as soon as less than half of the
// limit is buffered.
func (c *Conn) WantDrain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags |= wantDrain
	c.checkDrained()
}

// checkDrained posts the call of Drained when it is due. The mutex is held.
func (c *Conn) checkDrained() {
	if c.flags&wantDrain != 0 && c.flags&closing == 0 && c.buffered < (c.OutLimit()+1)/2 {
		c.flags &^= wantDrain
		c.post(doDrain)
	}
}

// Close ends the connection: nothing more is read or accepted by Send, what is
// buffered goes out as far as the peer takes it within Config.CloseTimeout.
// Handler.Closed follows, never from within Close. The first cause wins.
func (c *Conn) Close(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&closing != 0 {
		return
	}
	c.flags |= closing
	c.cause = cause
	c.halted.Store(true)
	c.post(doClose)
}

// Pause stops reading; Resume continues, and presents again what Feed left.
func (c *Conn) Pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halt(paused)
}

// Resume undoes Pause.
func (c *Conn) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&paused != 0 {
		c.proceed(paused)
		c.post(doResume)
	}
}

// FeedAgain presents what Feed leaves again, behind what the owner has to do for
// other connections.
func (c *Conn) FeedAgain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.post(doResume)
}

// halt stops reading for the reason f. The mutex is held.
func (c *Conn) halt(f flags) {
	c.flags |= f
	c.halted.Store(true)
	c.watch()
}

// proceed takes the reason f back. The mutex is held.
func (c *Conn) proceed(f flags) {
	c.flags &^= f
	c.halted.Store(c.flags&(paused|held|closing) != 0)
	c.watch()
}

// post asks the owner to look after the connection. The mutex is held.
func (c *Conn) post(f flags) {
	c.flags |= f
	if c.flags&(posted|dead) != 0 {
		return
	}
	c.flags |= posted
	if c.st != nil {
		c.st.wake()
		return
	}
	c.loop.enqueue(c)
}

// take returns and clears what the owner is asked to do.
func (c *Conn) take() flags {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.flags & doAny
	c.flags &^= doAny | posted
	return f
}

// Listener returns the listener that accepted the connection.
func (c *Conn) Listener() *Listener { return c.l }

// RemoteAddr returns the peer's address, "host:port" or "unix".
func (c *Conn) RemoteAddr() string {
	if c.st != nil {
		return c.st.remoteAddr()
	}
	return c.peer.String()
}

// LocalAddr returns the own address of the connection; once it is closed, that
// of its listener.
func (c *Conn) LocalAddr() string {
	if c.st != nil {
		return c.st.localAddr()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&dead == 0 {
		if a, ok := localAddr(c.fd); ok {
			return a.String()
		}
	}
	return c.l.addr.String()
}

// TLSState returns the state of the TLS session, nil when there is none.
func (c *Conn) TLSState() *tls.ConnectionState {
	if c.tls == nil {
		return nil
	}
	state := c.tls.conn.ConnectionState()
	return &state
}
