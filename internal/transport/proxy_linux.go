package transport

import (
	"net"
	"os"
	"syscall"
)

// greetSocket reads the PROXY header of a socket that was accepted, through a
// copy of its descriptor, and gives the socket to a loop.
func (s *Server) greetSocket(c *Conn) {
	via, err := c.greetCopy()
	if err != nil {
		sysClose(c.fd)
		c.l.gone()
		return
	}
	if c.via = via; via.source != nil {
		c.peer = tcpAddr(via.source)
	}
	target := s.pick(s.clock.at(s.clock.elapsed()))
	s.moves.RLock()
	defer s.moves.RUnlock()
	if !target.claim() {
		sysClose(c.fd)
		c.l.gone()
		return
	}
	c.loop = target
	c.mu.Lock()
	c.post(doAdopt)
	c.mu.Unlock()
}

func (c *Conn) greetCopy() (*proxied, error) {
	fd, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(c.fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("fcntl", errno)
	}
	f := os.NewFile(fd, "proxied")
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return c.l.greet(conn)
}

func tcpAddr(a *net.TCPAddr) (t addr) {
	t.port = uint16(a.Port)
	if ip := a.IP.To4(); ip != nil {
		copy(t.ip[:], ip)
		t.ip4 = true
		return t
	}
	copy(t.ip[:], a.IP.To16())
	t.ip6 = true
	return t
}

// bindToDevice lets a socket see the traffic of one network device only.
func bindToDevice(raw syscall.RawConn, device string) error {
	var err error
	if cerr := raw.Control(func(fd uintptr) {
		err = os.NewSyscallError("bind to device "+device, syscall.SetsockoptString(int(fd), syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, device))
	}); cerr != nil {
		return cerr
	}
	return err
}
