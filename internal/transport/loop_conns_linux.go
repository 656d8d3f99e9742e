package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
)

// adopt gives c a slot in this loop and begins to watch it. Fresh connections
// have not been in another loop before.
func (l *loop) adopt(c *Conn, fresh bool) {
	if n := len(l.free); n > 0 {
		c.slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		c.slot = uint32(len(l.conns))
		l.conns = append(l.conns, nil)
	}
	l.gen++
	c.gen = l.gen
	l.conns[c.slot] = c
	c.mu.Lock()
	c.flags |= adopted
	c.watched = c.interest()
	err := l.control(syscall.EPOLL_CTL_ADD, c.fd, c.watched, int32(c.slot), c.gen)
	c.mu.Unlock()
	if err != nil {
		c.Close(err)
	}
	if fresh {
		c.begin(l.b)
	}
	l.watch(c)
	if l.closing {
		c.Close(ErrServerClosed)
	}
}

// claim counts a connection that will be adopted. It reports false when the
// loop has ended.
func (l *loop) claim() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.count.Add(1)
	}
	return !l.over
}

// watch includes c in the sweep for deadlines, if it has one.
func (l *loop) watch(c *Conn) {
	c.mu.Lock()
	timed := c.isTimed()
	c.mu.Unlock()
	if timed && !c.timed {
		c.timed = true
		l.watched = append(l.watched, c)
		l.sweepLater()
	}
}

// unwatch takes c out of the sweep: from here on its fields belong to another
// loop.
func (l *loop) unwatch(c *Conn) {
	if !c.timed {
		return
	}
	c.timed = false
	if i := slices.Index(l.watched, c); i >= 0 {
		last := len(l.watched) - 1
		l.watched[i] = l.watched[last]
		l.watched[last] = nil
		l.watched = l.watched[:last]
	}
}

func (l *loop) sweepLater() {
	if l.nextSweep == 0 {
		l.nextSweep = l.b.Now + sweepEvery
	}
}

// sweep ends connections whose deadline has passed and forgets those that have
// none any more.
func (l *loop) sweep() {
	l.nextSweep = 0
	old := l.watched
	l.watched = old[:0:0]
	for _, c := range old {
		if l.conns[c.slot] != c {
			continue
		}
		switch late, timed := c.late(l.b.Now); {
		case late && c.isFinishing():
			l.release(c)
		case late:
			c.timeOut(l.b)
			l.watched = append(l.watched, c)
		case timed:
			l.watched = append(l.watched, c)
		default:
			c.timed = false
		}
	}
	l.asleep = slices.DeleteFunc(l.asleep, func(ln *Listener) bool {
		return ln.rouse(l, l.b.Now)
	})
	if len(l.watched)+len(l.asleep) > 0 {
		l.sweepLater()
	}
}

// shut ends our side of a finishing connection when everything has been
// written, and the whole when the peer has ended its side too. Closing at once
// would make the system answer unread input with a reset, which can destroy
// what the peer did not read yet.
func (l *loop) shut(c *Conn) {
	flushed, failed := c.flushed(l.b)
	c.mu.Lock()
	done := flushed && c.ws == nil && errors.Is(c.cause, ErrPeerDone)
	if flushed && !c.final && !done {
		c.final = true
		c.deadline = min(c.deadline, l.b.Now+1000)
		if c.flags&ended == 0 {
			sysShutdown(c.fd)
		}
	}
	ended := c.flags&ended != 0
	c.mu.Unlock()
	if done {
		l.release(c)
		return
	}
	if failed || c.final && ended {
		l.release(c)
	} else if c.final {
		l.discard(c, false)
	}
}

// discard throws away what a peer says after its connection was closed.
func (l *loop) discard(c *Conn, gone bool) {
	if gone {
		l.release(c)
		return
	}
	var err error
	for i := 0; i < 4 && err == nil; i++ {
		var n int
		if n, err = sysRead(c.fd, l.b.scratch()); n == 0 && err == nil {
			err = io.EOF
		}
	}
	switch {
	case err == nil:
		l.more = true
	case err == errAgain:
	case c.final:
		l.release(c)
	default:
		c.end()
	}
}

// release forgets c and closes its socket.
func (l *loop) release(c *Conn) {
	l.forget(c)
	c.mu.Lock()
	c.flags |= dead
	if c.flags&writing == 0 {
		c.dropOutput(l.b)
		c.closeSocket()
	} else {
		l.control(syscall.EPOLL_CTL_DEL, c.fd, 0, 0, 0)
	}
	c.mu.Unlock()
	c.l.gone()
}

func (l *loop) forget(c *Conn) {
	l.conns[c.slot] = nil
	l.free = append(l.free, c.slot)
	l.count.Add(-1)
}

// handOver gives the socket of c to net/http.
func (l *loop) handOver(c *Conn) {
	read := c.takeTail(l.b)
	c.mu.Lock()
	busy := c.flags&writing != 0
	if !busy {
		c.flags |= dead
		l.control(syscall.EPOLL_CTL_DEL, c.fd, 0, 0, 0)
	}
	c.mu.Unlock()
	if busy { // only with an answer of ours that nobody asked for
		c.finish(l.b)
		l.watch(c)
		return
	}
	l.forget(c)
	l.s.wg.Go(func() {
		f := os.NewFile(uintptr(c.fd), "http")
		conn, err := net.FileConn(f)
		f.Close()
		if err != nil {
			c.l.gone()
			c.l.warn(err)
			return
		}
		c.l.handOver(c, conn, read)
	})
}

// writable lets the next flush write again.
func (c *Conn) writable(b *Batch) {
	c.mu.Lock()
	c.flags &^= blocked
	c.touch(b)
	c.mu.Unlock()
}

// interest is what epoll is asked to report. The mutex is held.
func (c *Conn) interest() (events uint32) {
	if c.flags&(paused|held) == 0 && c.flags&(closing|finishing) != closing && c.flags&ended == 0 {
		events = readEvents
	}
	if c.flags&blocked != 0 {
		events |= syscall.EPOLLOUT
	}
	return events
}

// watch tells epoll what to report when that has changed. The mutex is held.
func (c *Conn) watch() {
	if c.st != nil || c.flags&(adopted|dead) != adopted {
		return
	}
	if events := c.interest(); events != c.watched {
		c.watched = events
		// This fails only for lack of kernel memory, and then epoll still
		// reports what it was asked before.
		c.loop.control(syscall.EPOLL_CTL_MOD, c.fd, events, int32(c.slot), c.gen)
	}
}

// tryWrite writes what the socket takes at once.
func (c *Conn) tryWrite(p []byte) (int, error) {
	if c.st != nil {
		return c.st.tryWrite(p)
	}
	return sysWrite(c.fd, p)
}

// closeSocket is called with the mutex held, once, when nobody is writing.
func (c *Conn) closeSocket() {
	if c.st == nil {
		sysClose(c.fd)
	}
}
