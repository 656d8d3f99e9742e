package bench

import (
	"encoding/binary"
	"io"
	"syscall"
	"time"
	"unsafe"
)

// socket is the descriptor of a link as a reader that does not block.
type socket link

func (s *socket) Read(p []byte) (n int, err error) {
	if s.e.stamped {
		n, err = s.e.readStamped(s.fd, p)
	} else {
		n, err = sysRead(s.fd, p)
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

const timestampNS = 64 // SO_TIMESTAMPNS_NEW, the same on every architecture that Go knows

// readStamped reads, and sets the clock of the engine to when the kernel received the last of it. That is when a client has
// it, however much later this process finds the time to look; but on a network that loses packets something before it may
// have come later.
func (e *engine) readStamped(fd int, p []byte) (int, error) {
	beside := (*[unsafe.Sizeof(e.beside)]byte)(unsafe.Pointer(&e.beside))[:]
	n, size, _, _, err := syscall.Recvmsg(fd, p, beside, 0)
	if err == syscall.EAGAIN {
		err = errAgain
	}
	if err != nil {
		return 0, err
	}
	now := time.Now()
	e.now = int64(now.Sub(e.start))
	h, data := (*syscall.Cmsghdr)(unsafe.Pointer(&e.beside)), syscall.CmsgLen(0)
	if size >= data+16 && h.Level == syscall.SOL_SOCKET && h.Type == timestampNS {
		seconds, nanos := binary.NativeEndian.Uint64(beside[data:]), binary.NativeEndian.Uint64(beside[data+8:])
		e.now -= max(now.UnixNano()-int64(seconds*uint64(time.Second)+nanos), 0)
	}
	return n, nil
}
