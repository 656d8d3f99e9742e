package transport

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// listening is the part of a Listener that lives on an event loop.
type listening struct {
	loop *loop
	fd   int
	slot int
	path string // of a Unix socket, to be removed
	rest int64  // unix milliseconds until which accepting rests after an error
}

// startOnLoop moves the socket to a loop. It reports false when the listener is
// no socket.
func (l *Listener) startOnLoop(lo *loop) (bool, error) {
	sc, ok := l.ln.(syscall.Conn)
	if !ok {
		return false, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false, nil
	}
	fd := -1
	// A copy of the descriptor takes it out of the runtime's poller, which would
	// wake for every connection too.
	err = raw.Control(func(old uintptr) {
		n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		if errno == 0 {
			fd = int(n)
		}
	})
	if err != nil || fd < 0 {
		return true, fmt.Errorf("copy the socket of listener %s: %w", l.Name(), err)
	}
	if u, ok := l.ln.(*net.UnixListener); ok {
		if cfg := l.cfg(); cfg.Listener == nil || cfg.Unlink {
			l.socket.path = l.addr.String()
		}
		u.SetUnlinkOnClose(false)
	}
	l.ln.Close()
	l.ln = nil
	prepareListening(fd, l.addr, l.cfg().Backlog)
	l.mu.Lock()
	l.socket.loop, l.socket.fd = lo, fd
	l.mu.Unlock()
	return true, lo.listen(l)
}

// prepareListening sets what accepted sockets inherit.
func prepareListening(fd int, a net.Addr, backlog int) {
	if _, ok := a.(*net.TCPAddr); ok {
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		// Peers that vanish without a word are noticed even when the protocol
		// above has no keep-alive.
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 120)
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 30)
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 4)
	}
	if backlog > 0 {
		syscall.Listen(fd, backlog)
	}
}

// listen begins to watch a listener.
func (l *loop) listen(ln *Listener) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln.socket.slot = len(l.listeners)
	l.listeners = append(l.listeners, ln)
	return l.control(syscall.EPOLL_CTL_ADD, int32(ln.socket.fd), syscall.EPOLLIN, int32(listenerSlot-ln.socket.slot), 0)
}

// closeOnLoop closes the socket if it is on a loop. The mutex is held.
func (l *Listener) closeOnLoop() bool {
	if l.socket.loop == nil {
		return false
	}
	if l.socket.path != "" {
		os.Remove(l.socket.path)
	}
	syscall.Close(l.socket.fd) // which also takes it out of epoll
	lo := l.socket.loop
	lo.mu.Lock()
	lo.listeners[l.socket.slot] = nil
	lo.mu.Unlock()
	return true
}

// accept takes waiting connections of the listener in the given slot.
func (l *loop) accept(slot int) {
	l.mu.Lock()
	ln := l.listeners[slot]
	l.mu.Unlock()
	if ln == nil {
		return
	}
	for range acceptsPerTurn {
		fd, peer, err := ln.accept()
		switch err {
		case nil:
		case syscall.EAGAIN, net.ErrClosed:
			return
		case syscall.ECONNABORTED, syscall.EINTR:
			continue
		default:
			ln.warn(os.NewSyscallError("accept4", err))
			ln.sleep(l)
			return
		}
		if !ln.admit() {
			sysClose(fd)
			continue
		}
		c := ln.newConn()
		c.fd, c.peer = fd, peer
		if ln.cfg().Proxy.Version != 0 {
			l.s.wg.Go(func() { l.s.greetSocket(c) })
			continue
		}
		l.place(c)
	}
	l.more = true
}

// place gives a new connection to a loop.
func (l *loop) place(c *Conn) {
	target := l.s.pick(l.b.Now)
	l.s.moves.RLock()
	defer l.s.moves.RUnlock()
	if !target.claim() {
		sysClose(c.fd)
		c.l.gone()
		return
	}
	c.loop = target
	if target == l {
		l.adopt(c, true)
		return
	}
	c.mu.Lock()
	c.post(doAdopt)
	c.mu.Unlock()
}

func (l *Listener) accept() (fd int32, peer addr, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return -1, addr{}, net.ErrClosed
	}
	n, sa, err := syscall.Accept4(l.socket.fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	if err != nil {
		return -1, addr{}, err
	}
	return int32(n), addrOf(sa), nil
}

// sleep stops accepting for a while: out of descriptors or memory, the socket
// would stay readable and the loop would spin.
func (l *Listener) sleep(lo *loop) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.socket.rest = lo.b.Now + acceptSleep.Milliseconds()
	lo.control(syscall.EPOLL_CTL_MOD, int32(l.socket.fd), 0, int32(listenerSlot-l.socket.slot), 0)
	lo.asleep = append(lo.asleep, l)
	lo.sweepLater()
}

// rouse accepts again when the rest is over, and reports whether it is.
func (l *Listener) rouse(lo *loop, now int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return true
	}
	if now < l.socket.rest {
		return false
	}
	lo.control(syscall.EPOLL_CTL_MOD, int32(l.socket.fd), syscall.EPOLLIN, int32(listenerSlot-l.socket.slot), 0)
	return true
}
