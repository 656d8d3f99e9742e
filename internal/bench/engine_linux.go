package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// engine drives the links of a run. All of it but join belongs to one goroutine.
type engine struct {
	ep      int
	wake    int // eventfd
	events  []syscall.EpollEvent
	links   []*link // by descriptor
	dirty   []*link
	buf     []byte
	start   time.Time
	now     int64     // nanoseconds since start
	stamped bool      // latency is measured: the kernel says when something came
	beside  [8]uint64 // what it says beside the bytes
	frugal  bool      // links give their memory back when they have nothing to send

	every    func() error // called about five times a second
	nextCall int64

	mu     sync.Mutex
	joined []func() // from goroutines that dial
}

const (
	readSize    = 256 << 10
	callEvery   = int64(200 * time.Millisecond)
	longestWait = 100 * time.Millisecond

	epollPwait2   = 441     // the same on every architecture
	edgeTriggered = 1 << 31 // EPOLLET, which package syscall has as a negative number
)

var errAgain = errors.New("would block")

func newEngine() (*engine, error) {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	e := &engine{ep: ep, events: make([]syscall.EpollEvent, 1024), buf: make([]byte, readSize), start: time.Now()}
	fd, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		syscall.Close(ep)
		return nil, os.NewSyscallError("eventfd2", errno)
	}
	e.wake = int(fd)
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(e.wake)}
	if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, e.wake, &ev); err != nil {
		e.close()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return e, nil
}

// close resets all connections.
func (e *engine) close() {
	for _, l := range e.links {
		if l != nil {
			syscall.SetsockoptLinger(l.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
			l.shut()
		}
	}
	syscall.Close(e.wake)
	syscall.Close(e.ep)
}

func (e *engine) clock() int64 { return int64(time.Since(e.start)) }

// add begins to watch a link: what changes is told once.
func (e *engine) add(l *link) error {
	l.e = e
	for len(e.links) <= l.fd {
		e.links = append(e.links, make([]*link, max(1024, len(e.links)))...)
	}
	e.links[l.fd] = l
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edgeTriggered, Fd: int32(l.fd)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(e.ep, syscall.EPOLL_CTL_ADD, l.fd, &ev))
}

// stamp has the kernel say when something came to the links there are. For Unix sockets it does not: there a message comes
// when it is read.
func (e *engine) stamp() {
	e.stamped = true
	for _, l := range e.links {
		if l != nil {
			syscall.SetsockoptInt(l.fd, syscall.SOL_SOCKET, timestampNS, 1) // or nothing is stamped
		}
	}
}

// drop closes the socket of a link.
func (e *engine) drop(l *link) {
	if l.fd >= 0 && e != nil && e.links[l.fd] == l {
		e.links[l.fd] = nil
		syscall.Close(l.fd)
	}
	l.fd = -1
}

func (e *engine) touch(l *link) {
	if !l.dirty {
		l.dirty = true
		e.dirty = append(e.dirty, l)
	}
}

// join has f called by the goroutine of the engine. It may be called from any goroutine.
func (e *engine) join(f func()) {
	e.mu.Lock()
	e.joined = append(e.joined, f)
	e.mu.Unlock()
	one := [8]byte{1}
	sysWrite(e.wake, one[:])
}

// turn sends what is queued, waits for at most as long as is said, and handles what has come.
func (e *engine) turn(ctx context.Context, longest time.Duration) error {
	e.flush()
	n, err := e.wait(min(longest, longestWait))
	if err != nil {
		return err
	}
	e.now = e.clock()
	for i := range e.events[:n] {
		ev := &e.events[i]
		if int(ev.Fd) == e.wake {
			e.takeJoined()
			continue
		}
		l := e.links[ev.Fd]
		if l == nil {
			continue
		}
		const broken = syscall.EPOLLHUP | syscall.EPOLLERR
		if ev.Events&(syscall.EPOLLOUT|broken) != 0 {
			e.writable(l, ev.Events&broken != 0)
		}
		if ev.Events&(syscall.EPOLLIN|syscall.EPOLLRDHUP|broken) != 0 && l.state != closed && l.state != dialling {
			l.readable(ev.Events&(syscall.EPOLLRDHUP|broken) != 0)
		}
	}
	if e.now >= e.nextCall {
		e.nextCall = e.now + callEvery
		if err := ctx.Err(); err != nil {
			return err
		}
		return e.every()
	}
	return nil
}

func (e *engine) flush() {
	for i := 0; i < len(e.dirty); i++ {
		l := e.dirty[i]
		l.dirty = false
		l.flush()
	}
	e.dirty = e.dirty[:0]
}

func (e *engine) takeJoined() {
	var count [8]byte
	sysRead(e.wake, count[:])
	e.mu.Lock()
	fs := e.joined
	e.joined = nil
	e.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

// writable goes on with what waited for room in the socket, or for the connection.
func (e *engine) writable(l *link, broken bool) {
	switch {
	case l.state != dialling:
		if l.sent < len(l.wire) {
			l.flush()
		}
		return
	case broken:
		errno, err := syscall.GetsockoptInt(l.fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
		if err == nil && errno != 0 {
			err = syscall.Errno(errno)
		}
		if err != nil {
			l.fail(fmt.Errorf("connect: %w", err))
			return
		}
	}
	l.established()
}

// wait asks epoll. The scheduler of Go is told of longer waits only: handing over the processor and taking it back costs
// more than a short wait does, and has the scheduler look after this thread every few microseconds.
func (e *engine) wait(d time.Duration) (int, error) {
	d = max(d, 0)
	ts := [2]int64{int64(d / time.Second), int64(d % time.Second)} // seconds and nanoseconds, on every architecture
	call := syscall.Syscall6
	if d < 10*time.Millisecond {
		call = syscall.RawSyscall6
	}
	n, _, errno := call(epollPwait2, uintptr(e.ep), uintptr(unsafe.Pointer(&e.events[0])), uintptr(len(e.events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case syscall.EINTR:
		return 0, nil
	case syscall.ENOSYS:
		return 0, errors.New("this kernel has no epoll_pwait2: Linux 5.11 or later is needed to make load")
	}
	return 0, os.NewSyscallError("epoll_pwait2", errno)
}

func sysRead(fd int, p []byte) (int, error)  { return transfer(syscall.SYS_READ, fd, p) }
func sysWrite(fd int, p []byte) (int, error) { return transfer(syscall.SYS_WRITE, fd, p) }

// transfer must not block, since the scheduler is not told.
func transfer(trap uintptr, fd int, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, errAgain
		default:
			return 0, errno
		}
	}
}
