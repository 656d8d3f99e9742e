//go:build !linux

package transport

import (
	"errors"
	"net"
	"syscall"
)

// loop does not exist on this system: every connection is a stream.
type loop struct{}

type listening struct{}

func newLoop(*Server) (*loop, error)                { return nil, nil }
func (l *loop) close()                              {}
func (l *loop) run()                                {}
func (l *loop) stop()                               {}
func (l *loop) enqueue(*Conn)                       {}
func (l *loop) closeOf(*Listener, error)            {}
func (l *Listener) closeOnLoop() bool               { return false }
func (l *Listener) startOnLoop(*loop) (bool, error) { return false, nil }

func (c *Conn) watch()                         {}
func (c *Conn) closeSocket()                   {}
func (c *Conn) tryWrite(p []byte) (int, error) { return c.st.tryWrite(p) }
func localAddr(int32) (addr, bool)             { return addr{}, false }
func bindToDevice(syscall.RawConn, string) error {
	return errors.New("a listener for one network device exists on Linux only: name an address instead")
}
func newTryWriter(net.Conn) tryWriter { return nil }
