package bridges

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7), in milliseconds.
const tcpUserTimeout = 18

// limitSilence makes connections of d fail when the other side has not acknowledged what was sent for so long.
func limitSilence(d *net.Dialer, most time.Duration) {
	d.Control = func(_, _ string, c syscall.RawConn) error {
		var err error
		if failed := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(most.Milliseconds()))
		}); failed != nil {
			return failed
		}
		return err
	}
}
