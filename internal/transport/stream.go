package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// stream is the goroutine engine: it serves any net.Conn. One goroutine reads,
// calls the handler and ends the connection. Writing is tried at once where the
// system allows it; what is left is written by a second goroutine, which exists
// only while there is something to write.
type stream struct {
	c     *Conn
	conn  net.Conn
	peer  string        // as the proxy says; "": as the socket says
	try   tryWriter     // nil where writing cannot be tried
	woken chan struct{} // holds one token after wake
	ended bool          // nothing more will arrive
}

const (
	smallRead = 4 << 10 // at rest
	largeRead = 64 << 10
)

// serve runs conn in goroutines of its own; via is what a proxy said of it. It reports false after the end.
func (s *Server) serve(l *Listener, conn net.Conn, via *proxied) bool {
	c := l.newConn()
	c.via = via
	st := &stream{c: c, conn: conn, try: newTryWriter(conn), woken: make(chan struct{}, 1)}
	c.st = st
	if via != nil && via.source != nil {
		st.peer = via.source.String()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stopped {
		return false
	}
	s.streams[st] = struct{}{}
	s.wg.Go(st.run)
	return true
}

// wake makes the goroutine look after the connection, wherever it waits.
func (st *stream) wake() {
	select {
	case st.woken <- struct{}{}:
	default:
	}
	st.conn.SetReadDeadline(time.Unix(1, 0))
}

func (st *stream) run() {
	c := st.c
	b := c.l.s.Batch()
	c.begin(b)
	c.l.s.ReleaseBatch(b)
	if c.tls != nil || c.ws != nil {
		timer := time.AfterFunc(c.l.s.cfg.HandshakeTimeout, st.late)
		defer timer.Stop()
	}
	buf := make([]byte, smallRead)
	for !c.isFinishing() && !c.isLeaving() {
		n, err := st.read(buf)
		st.turn(buf[:n], err)
		switch {
		case n == len(buf) && n == smallRead:
			buf = make([]byte, largeRead)
		case n < smallRead && len(buf) == largeRead:
			buf = make([]byte, smallRead)
		}
	}
	if c.isLeaving() {
		st.handOver()
		return
	}
	st.linger()
	st.release()
}

// handOver gives the connection to net/http.
func (st *stream) handOver() {
	c := st.c
	b := c.l.s.Batch()
	read := c.takeTail(b)
	c.l.s.ReleaseBatch(b)
	c.mu.Lock()
	c.flags |= finishing
	c.mu.Unlock()
	st.await(st.closeLimit(), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.flags&writing == 0 && !c.hasOutput()
	})
	c.mu.Lock()
	c.flags |= dead
	c.mu.Unlock()
	st.conn.SetDeadline(time.Time{})
	st.forget()
	c.l.handOver(c, st.conn, read)
}

func (st *stream) closeLimit() time.Time { return time.Now().Add(st.c.l.s.cfg.CloseTimeout) }

// await waits until ready, which a write may change, or the end.
func (st *stream) await(end time.Time, ready func() bool) {
	limit := time.NewTimer(time.Until(end))
	defer limit.Stop()
	for !ready() {
		select {
		case <-st.woken:
			st.c.take()
		case <-limit.C:
			return
		}
	}
}

// read waits for input, or for a call of wake.
func (st *stream) read(buf []byte) (int, error) {
	if st.ended || st.c.halted.Load() {
		<-st.woken
		return 0, nil
	}
	return st.conn.Read(buf)
}

// turn handles what was read and what was asked for.
func (st *stream) turn(data []byte, err error) {
	c := st.c
	b := c.l.s.Batch()
	defer c.l.s.ReleaseBatch(b)
	if len(data) > 0 {
		if failed := st.input(b, data); failed != nil {
			c.fail(failed)
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		st.conn.SetReadDeadline(time.Time{}) // before take: see wake
		err = nil
	}
	if err != nil {
		if errors.Is(err, io.ErrClosedPipe) {
			err = io.EOF
		}
		st.ended = true
		c.peerEnded(err)
	}
	for do := c.take(); do != 0; do = c.take() {
		c.act(b, do)
		if do&doBroken != 0 {
			c.Close(c.writeError())
		}
		if do&doClose != 0 && c.isLeaving() {
			return
		}
		if do&doClose != 0 {
			c.finish(b)
			return
		}
	}
}

func (st *stream) input(b *Batch, data []byte) error {
	if st.c.tls != nil {
		return st.c.tls.input(b, data)
	}
	return st.c.input(b, data)
}

// linger waits until the output has been written, then until the peer closes.
func (st *stream) linger() {
	c := st.c
	limit := st.closeLimit()
	st.discard(limit)
	st.await(limit, st.flushed)
	c.mu.Lock()
	peerEnded := c.flags&(ended|broken) != 0
	c.mu.Unlock()
	if half, ok := st.conn.(interface{ CloseWrite() error }); ok && !peerEnded && half.CloseWrite() == nil {
		st.conn.SetReadDeadline(time.Now().Add(time.Second))
		io.Copy(io.Discard, st.conn)
	}
}

// discard throws away what the peer says until the output has been written: a
// peer may not listen before it has spoken.
func (st *stream) discard(limit time.Time) {
	buf := make([]byte, smallRead)
	for time.Now().Before(limit) {
		st.conn.SetReadDeadline(limit)
		st.c.take() // from here on, wake ends the Read
		if st.flushed() {
			return
		}
		if _, err := st.conn.Read(buf); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			st.c.end()
			return
		}
	}
}

// flushed says whether there is no more to write.
func (st *stream) flushed() bool {
	b := st.c.l.s.Batch()
	defer st.c.l.s.ReleaseBatch(b)
	flushed, failed := st.c.flushed(b)
	return flushed || failed
}

func (st *stream) release() {
	c := st.c
	st.conn.Close() // ends a blocked write
	b := c.l.s.Batch()
	c.mu.Lock()
	c.flags |= dead
	if c.flags&writing == 0 {
		c.dropOutput(b)
	}
	c.mu.Unlock()
	c.l.s.ReleaseBatch(b)
	st.forget()
	c.l.gone()
}

func (st *stream) forget() {
	s := st.c.l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st)
}

// late closes a connection that did not get ready.
func (st *stream) late() {
	st.c.mu.Lock()
	shaking := st.c.flags&shaking != 0
	st.c.mu.Unlock()
	if shaking {
		st.c.Close(ErrHandshakeTimeout)
	}
}

// tryWrite writes what can be written at once.
func (st *stream) tryWrite(p []byte) (int, error) {
	if st.try == nil {
		return 0, errAgain
	}
	return st.try.tryWrite(p)
}

// startWriter writes the output in a goroutine. The mutex of the connection is
// held, and blocked keeps others from writing.
func (st *stream) startWriter() {
	st.c.l.s.wg.Go(func() {
		b := st.c.l.s.Batch()
		st.c.mu.Lock()
		st.c.write(b, st.blockingWrite)
		st.c.mu.Unlock()
		st.c.l.s.ReleaseBatch(b)
	})
}

func (st *stream) blockingWrite(p []byte) (int, error) {
	total := 0
	for {
		st.conn.SetWriteDeadline(time.Now().Add(st.c.l.s.cfg.WriteTimeout))
		n, err := st.conn.Write(p[total:])
		total += n
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			continue // slow, but alive
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = ErrWriteTimeout
		}
		return total, err
	}
}

func (st *stream) remoteAddr() string {
	if st.peer != "" {
		return st.peer
	}
	return addrText(st.conn.RemoteAddr())
}
func (st *stream) localAddr() string { return addrText(st.conn.LocalAddr()) }

func addrText(a net.Addr) string {
	if _, ok := a.(*net.UnixAddr); ok {
		return "unix"
	}
	return a.String()
}

// tryWriter writes to a socket without waiting.
type tryWriter interface {
	tryWrite(p []byte) (int, error)
}
