package transport

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A loop waits for many sockets with a level-triggered epoll instance. Waiting
// must not hold a thread or a processor, so the epoll descriptor itself is
// registered with the runtime's poller: the goroutine of the loop parks in
// RawConn.Read like a reader of any file, and asks epoll without waiting.
//
// That outer registration is edge-triggered: it wakes once for every new event,
// not for what a turn left unhandled. So the loop may only park when nothing is
// left that no new event would announce: see more.
type loop struct {
	s    *Server
	ep   int
	wake int // eventfd
	file *os.File
	raw  syscall.RawConn

	// Owned by the goroutine of run.
	b         *Batch
	events    []syscall.EpollEvent
	conns     []*Conn // by slot
	free      []uint32
	gen       uint32
	more      bool        // something is ready that no event will announce
	watched   []*Conn     // with a deadline
	asleep    []*Listener // listeners that wait after an error
	nextSweep int64       // unix milliseconds, 0: nothing to sweep
	armed     bool        // the file has a deadline for the next sweep
	todo      []*Conn
	closing   bool // connections that come now are too late
	balance   balance

	count atomic.Int32 // connections
	load  load

	mu        sync.Mutex
	pending   []*Conn // posted connections
	parked    bool
	stopping  bool
	over      bool // run has returned or is about to
	orders    []order
	listeners []*Listener // by slot
}

// order asks to close the connections of a listener; nil means all.
type order struct {
	of    *Listener
	cause error
}

const (
	eventsPerTurn  = 128
	acceptsPerTurn = 32
	sweepEvery     = 250 // milliseconds

	// Slots of descriptors that are no connection.
	wakeSlot     = -1
	listenerSlot = -2 // and downwards

	readEvents = syscall.EPOLLIN | syscall.EPOLLRDHUP
	endEvents  = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
)

func newLoop(s *Server) (*loop, error) {
	l := &loop{s: s, ep: -1, wake: -1, events: make([]syscall.EpollEvent, eventsPerTurn)}
	if err := l.open(); err != nil {
		l.close()
		return nil, err
	}
	l.b = s.newBatch()
	return l, nil
}

func (l *loop) open() (err error) {
	if l.ep, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	// NewFile registers with the runtime's poller only what is non-blocking.
	if err = syscall.SetNonblock(l.ep, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	l.file = os.NewFile(uintptr(l.ep), "epoll")
	if l.raw, err = l.file.SyscallConn(); err != nil {
		return fmt.Errorf("poll an epoll descriptor: %w", err)
	}
	if l.wake, err = newEventfd(); err != nil {
		return err
	}
	return l.control(syscall.EPOLL_CTL_ADD, int32(l.wake), syscall.EPOLLIN, wakeSlot, 0)
}

func (l *loop) close() {
	if l.file != nil {
		l.file.Close()
	} else if l.ep >= 0 {
		sysClose(int32(l.ep))
	}
	if l.wake >= 0 {
		sysClose(int32(l.wake))
	}
}

func (l *loop) control(op int, fd int32, events uint32, slot int32, gen uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: slot, Pad: int32(gen)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(l.ep, op, int(fd), &ev))
}

// run serves until stop was called and the last connection has gone.
func (l *loop) run() {
	defer l.close()
	for !l.finished() {
		err := l.raw.Read(l.turns)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			l.file.SetReadDeadline(time.Time{})
			l.armed = false
		} else if err != nil {
			panic(fmt.Errorf("wait for events: %w", err)) // only a bug closes the file
		}
	}
}

func (l *loop) finished() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = l.stopping && l.count.Load() == 0 && len(l.pending)+len(l.orders) == 0
	return l.over
}

// turns handles events until none is left; its result tells RawConn.Read
// whether to return or to wait.
func (l *loop) turns(uintptr) bool {
	for {
		l.more = false
		n := sysPoll(l.ep, l.events)
		now := l.s.clock.elapsed()
		l.b.Now = l.s.clock.at(now)
		l.measure(now)
		l.more = n == len(l.events)
		for i := range l.events[:n] {
			l.event(&l.events[i])
			if l.b.pending >= flushBytes {
				l.b.Flush()
			}
		}
		l.lookAfterPosted()
		l.b.Flush()
		if l.nextSweep != 0 && l.b.Now >= l.nextSweep {
			l.sweep()
		}
		if l.more {
			continue
		}
		if l.park() {
			l.rest()
			if l.nextSweep != 0 {
				l.arm()
			}
			return l.finished()
		}
	}
}

// park says whether the loop may wait: nothing has been posted meanwhile.
func (l *loop) park() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parked = len(l.pending)+len(l.orders) == 0
	return l.parked
}

// arm makes the wait end in time for the next sweep.
func (l *loop) arm() {
	if !l.armed {
		l.armed = true
		l.file.SetReadDeadline(time.Now().Add(time.Duration(max(l.nextSweep-l.b.Now, 1)) * time.Millisecond))
	}
}

// enqueue posts a connection; its mutex is held.
func (l *loop) enqueue(c *Conn) {
	l.mu.Lock()
	l.pending = append(l.pending, c)
	l.unpark()
	l.mu.Unlock()
}

// unpark wakes the goroutine of the loop if it waits. The mutex is held.
func (l *loop) unpark() {
	if l.parked {
		l.parked = false
		signalEventfd(l.wake)
	}
}

// stop makes run return when the last connection has gone.
func (l *loop) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopping = true
	l.orders = append(l.orders, order{cause: ErrServerClosed})
	l.unpark()
}

// closeOf closes the connections of ln.
func (l *loop) closeOf(ln *Listener, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.orders = append(l.orders, order{of: ln, cause: cause})
	l.unpark()
}

func (l *loop) event(ev *syscall.EpollEvent) {
	switch {
	case ev.Fd == wakeSlot:
		drainEventfd(l.wake)
		return
	case ev.Fd <= listenerSlot:
		l.accept(int(listenerSlot - ev.Fd))
		return
	case int(ev.Fd) >= len(l.conns):
		return
	}
	c := l.conns[ev.Fd]
	if c == nil || c.gen != uint32(ev.Pad) {
		return // closed by an earlier event of this turn
	}
	if ev.Events&syscall.EPOLLOUT != 0 {
		c.writable(l.b)
	}
	if ev.Events&(readEvents|endEvents) != 0 {
		l.readable(c, ev.Events&endEvents != 0, ev.Events&(syscall.EPOLLHUP|syscall.EPOLLERR) != 0)
		l.rebalance(c)
	}
}

// readable reads once, or until the end when the peer has closed; gone says
// that the socket is of no more use to either side.
func (l *loop) readable(c *Conn, ended, gone bool) {
	if c.h == nil && c.isFinishing() {
		l.discard(c, gone)
		return
	}
	if c.halted.Load() {
		if gone {
			c.Close(l.lastError(c))
		}
		return
	}
	full, err := l.read(c)
	switch {
	case err == errAgain:
	case err == io.EOF:
		c.peerEnded(io.EOF)
	case err != nil:
		c.fail(err)
	case full || ended:
		// A short read leaves nothing behind, except for the end of the stream:
		// no new event announces that.
		l.more = true
	}
}

// read reads once and hands on what came. full says that there may be more.
func (l *loop) read(c *Conn) (full bool, err error) {
	if c.tls != nil {
		raw := l.b.raw()
		n, err := sysRead(c.fd, raw)
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != nil {
			return false, err
		}
		return n == len(raw), c.tls.input(l.b, raw[:n])
	}
	dst, t := c.window(l.b)
	n, err := sysRead(c.fd, dst[t:])
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return false, err
	}
	return t+n == len(dst), c.deliver(l.b, dst, t, n)
}

// lastError returns why the system gave up the socket.
func (l *loop) lastError(c *Conn) error {
	errno, err := syscall.GetsockoptInt(int(c.fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && errno != 0 {
		return syscall.Errno(errno)
	}
	return io.EOF
}

// lookAfterPosted does what the posted connections ask for.
func (l *loop) lookAfterPosted() {
	l.mu.Lock()
	l.todo, l.pending = l.pending, l.todo[:0]
	l.parked = false
	orders := l.orders
	l.orders = nil
	l.mu.Unlock()
	for i, c := range l.todo {
		l.todo[i] = nil
		l.lookAfter(c, c.take())
	}
	for _, o := range orders {
		l.closeAll(o)
	}
}

func (l *loop) closeAll(o order) {
	l.closing = l.closing || o.of == nil
	for _, c := range l.conns {
		if c != nil && (o.of == nil || o.of == c.l) {
			c.Close(o.cause)
		}
	}
}

func (l *loop) lookAfter(c *Conn, do flags) {
	if do&(doAdopt|doMove) != 0 {
		l.adopt(c, do&doAdopt != 0)
	}
	if l.conns[c.slot] != c {
		return // gone
	}
	c.act(l.b, do)
	if do&doWatch != 0 {
		l.watch(c)
	}
	if do&doBroken != 0 {
		l.readLast(c)
	}
	if do&doClose != 0 && c.isLeaving() {
		l.handOver(c)
		return
	}
	if do&doClose != 0 {
		c.finish(l.b)
		l.watch(c)
	}
	if do&(doClose|doFlushed|doBroken) != 0 && c.isFinishing() {
		l.shut(c)
	}
}

// readLast reads what a peer said before it stopped listening: writing has
// failed, but a PUBLISH may still be in the socket.
func (l *loop) readLast(c *Conn) {
	var err error
	for i := 0; i < 16 && err == nil && !c.halted.Load(); i++ {
		_, err = l.read(c)
	}
	cause := c.writeError()
	if err != nil && err != errAgain {
		cause = err
	}
	c.Close(cause)
}
