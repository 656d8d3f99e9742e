package transport

import (
	"net"
	"syscall"
)

// rawWriter tries to write to a socket of the net package. The holder of the
// writing role uses it.
type rawWriter struct {
	raw syscall.RawConn
	p   []byte
	n   int
	err error
	do  func(fd uintptr) bool
}

func newTryWriter(conn net.Conn) tryWriter {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	w := &rawWriter{raw: raw}
	w.do = func(fd uintptr) bool {
		w.n, w.err = sysWrite(int32(fd), w.p)
		return true
	}
	return w
}

func (w *rawWriter) tryWrite(p []byte) (int, error) {
	w.p = p
	err := w.raw.Write(w.do)
	w.p = nil
	if err != nil {
		return 0, err
	}
	return w.n, w.err
}
