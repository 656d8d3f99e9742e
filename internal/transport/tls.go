package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// tlsStage sits between the socket and the rest of a connection. crypto/tls
// wants a blocking net.Conn; it gets one made of memory (tlsPipe). The
// handshake runs in a goroutine of its own, which starts when the first bytes
// have come and ends with the handshake. Afterwards Read is only called when
// there is input and says "would block", as a temporary error, when that is
// used up: crypto/tls can be resumed after those. Write never fails nor blocks:
// it appends to the output, which the flush of the connection empties before
// it encrypts more.
type tlsStage struct {
	c    *Conn
	conn *tls.Conn

	started bool // owner
	ended   bool // owner: bye was called
	owed    int  // writing role: bytes sent whose ciphertext is not written yet

	mu      sync.Mutex // guards what follows
	arrived sync.Cond
	in      []byte   // ciphertext: own during the handshake, else borrowed by input
	eof     bool     // the peer has ended its side of the socket
	shaking bool     // until the owner has seen the end of the handshake
	err     error    // of the handshake, or why Read must end
	under   net.Conn // set when the connection was handed over to net/http
	head    *buffer  // ciphertext to write
	last    *buffer
}

// handshakeInput is how much ciphertext may wait while the handshake runs.
const handshakeInput = 64 << 10

func newTLSStage(c *Conn, cfg *tls.Config) *tlsStage {
	t := &tlsStage{c: c, shaking: true}
	t.arrived.L = &t.mu
	t.conn = tls.Server((*tlsPipe)(t), cfg)
	return t
}

// input takes ciphertext from the socket, and hands on what it hides.
func (t *tlsStage) input(b *Batch, raw []byte) error {
	if !t.started {
		if len(raw) > 0 && raw[0] != 0x16 {
			return ErrPlainOnTLS
		}
		t.started = true
		t.c.l.s.wg.Go(t.handshake)
	}
	t.mu.Lock()
	if t.shaking {
		t.in = append(t.in, raw...)
		full := len(t.in) > handshakeInput
		t.arrived.Signal()
		t.mu.Unlock()
		if full {
			t.hold()
		}
		return nil
	}
	if len(t.in) == 0 {
		t.in = raw
	} else {
		t.in = append(t.in, raw...)
	}
	t.mu.Unlock()
	return t.drain(b)
}

// hold stops reading until the handshake has ended.
func (t *tlsStage) hold() {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shaking {
		t.c.halt(held)
	}
}

func (t *tlsStage) handshake() {
	s := t.c.l.s
	s.shakes <- struct{}{}
	err := t.conn.Handshake()
	<-s.shakes
	t.mu.Lock()
	if t.err == nil && err != nil {
		t.err = fmt.Errorf("TLS handshake: %w", err)
	}
	t.mu.Unlock()
	t.c.mu.Lock()
	t.c.post(doShaken)
	t.c.mu.Unlock()
}

// handOver makes the session read from and write to conn, by blocking.
func (t *tlsStage) handOver(conn net.Conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.under = conn
	for p := t.head; p != nil; p = p.next {
		if _, err := conn.Write(p.bytes()); err != nil {
			return err
		}
	}
	t.head, t.last = nil, nil
	return nil
}

// shaken goes on after the handshake.
func (t *tlsStage) shaken(b *Batch) error {
	t.mu.Lock()
	err := t.err
	t.shaking = false
	t.mu.Unlock()
	if err != nil {
		return err
	}
	t.c.mu.Lock()
	t.c.proceed(held)
	t.c.mu.Unlock()
	if t.c.ws == nil {
		t.c.ready(b)
	}
	// What came with the last flight of the handshake is inside crypto/tls or
	// in t.in already; no event will announce it.
	return t.drain(b)
}

// drain decrypts until the input is used up.
func (t *tlsStage) drain(b *Batch) error {
	var err error
	for err == nil {
		dst, n := t.c.window(b)
		var k int
		k, err = t.conn.Read(dst[n:])
		if k > 0 {
			if failed := t.c.deliver(b, dst, n, k); failed != nil {
				err = failed
			}
		}
	}
	t.mu.Lock()
	if err == errHandover {
		t.in = bytes.Clone(t.in) // net/http goes on here
	} else {
		t.in = nil
	}
	output := t.head != nil
	t.mu.Unlock()
	if output {
		t.c.mu.Lock()
		t.c.touch(b)
		t.c.mu.Unlock()
	}
	switch {
	case err == errTLSAgain:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return io.EOF
	}
	return err
}

// peerEnded notes that no more input will come. It reports whether the end of
// the handshake, which will notice, is still to come.
func (t *tlsStage) peerEnded() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.eof = true
	t.arrived.Signal()
	return t.started && t.shaking
}

// abort ends a handshake that is still running.
func (t *tlsStage) abort() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = net.ErrClosed
	}
	t.arrived.Signal()
}

// bye appends the alert that ends our side of the session.
func (t *tlsStage) bye() {
	// It fails when the handshake was not over, and then there is nothing to say.
	_ = t.conn.CloseWrite()
}

func (t *tlsStage) hasOutput() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head != nil
}

func (t *tlsStage) dropOutput() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.head, t.last, t.owed = nil, nil, 0
}

// writeChain is Conn.writeChain with encryption in between: one buffer at a
// time, and not before the ciphertext of the one before has been written.
func (t *tlsStage) writeChain(b *Batch, chain *buffer, to func([]byte) (int, error)) (taken int, rest *buffer, err error) {
	for {
		if err := t.writeOutput(b, to); err != nil {
			return taken, chain, err
		}
		taken += t.owed
		t.owed = 0
		if chain == nil {
			return taken, nil, nil
		}
		taken -= t.c.seal(chain)
		if _, err := t.conn.Write(chain.bytes()); err != nil {
			return taken, chain, fmt.Errorf("encrypt: %w", err)
		}
		t.owed += chain.len()
		next := chain.next
		b.stash.put(chain)
		chain = next
	}
}

// writeOutput writes the ciphertext.
func (t *tlsStage) writeOutput(b *Batch, to func([]byte) (int, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.head != nil {
		chain := t.head
		t.head, t.last = nil, nil
		t.mu.Unlock()
		var err error
		for chain != nil && err == nil {
			var n int
			n, err = to(chain.bytes())
			chain.r += n
			if chain.len() == 0 {
				next := chain.next
				b.stash.put(chain)
				chain = next
			}
		}
		t.mu.Lock()
		if chain != nil {
			t.unread(chain)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tlsStage) unread(chain *buffer) {
	end := chain
	for end.next != nil {
		end = end.next
	}
	end.next = t.head
	t.head = chain
	if t.last == nil {
		t.last = end
	}
}

// errTLSAgain tells crypto/tls that nothing is wrong, only empty.
var errTLSAgain net.Error = temporary{}

type temporary struct{}

func (temporary) Error() string   { return errAgain.Error() }
func (temporary) Timeout() bool   { return true }
func (temporary) Temporary() bool { return true }

// tlsPipe is what crypto/tls reads from and writes to.
type tlsPipe tlsStage

func (t *tlsPipe) Read(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.shaking && len(t.in) == 0 && t.err == nil && !t.eof {
		<-t.c.l.s.shakes // others may use the processor meanwhile
		t.arrived.Wait()
		t.mu.Unlock()
		t.c.l.s.shakes <- struct{}{}
		t.mu.Lock()
	}
	switch {
	case len(t.in) > 0:
		n := copy(p, t.in)
		t.in = t.in[n:]
		return n, nil
	case t.err != nil:
		return 0, t.err
	case t.eof:
		return 0, io.EOF
	case t.under != nil:
		under := t.under
		t.mu.Unlock()
		defer t.mu.Lock()
		return under.Read(p)
	}
	return 0, errTLSAgain
}

func (t *tlsPipe) Write(p []byte) (int, error) {
	t.mu.Lock()
	if under := t.under; under != nil {
		t.mu.Unlock()
		return under.Write(p)
	}
	ps := &t.c.l.s.pools
	for rest := p; len(rest) > 0; {
		if t.last == nil || t.last.room() == 0 {
			q := ps.get(min(len(rest), maxChunk))
			if t.last == nil {
				t.head = q
			} else {
				t.last.next = q
			}
			t.last = q
		}
		k := copy(t.last.b[t.last.w:], rest)
		t.last.w += k
		rest = rest[k:]
	}
	shaking := t.shaking
	t.mu.Unlock()
	if shaking {
		b := t.c.l.s.Batch()
		t.c.mu.Lock()
		t.c.touch(b)
		t.c.mu.Unlock()
		t.c.l.s.ReleaseBatch(b)
	}
	return len(p), nil
}

func (t *tlsPipe) Close() error {
	if t.under != nil {
		return t.under.Close()
	}
	return nil
}

func (t *tlsPipe) LocalAddr() net.Addr  { return textAddr(t.c.LocalAddr()) }
func (t *tlsPipe) RemoteAddr() net.Addr { return textAddr(t.c.RemoteAddr()) }

func (t *tlsPipe) SetDeadline(when time.Time) error {
	return errors.Join(t.SetReadDeadline(when), t.SetWriteDeadline(when))
}

func (t *tlsPipe) SetReadDeadline(when time.Time) error {
	if t.under != nil {
		return t.under.SetReadDeadline(when)
	}
	return nil
}

func (t *tlsPipe) SetWriteDeadline(when time.Time) error {
	if t.under != nil {
		return t.under.SetWriteDeadline(when)
	}
	return nil
}

// textAddr is an address that is only shown.
type textAddr string

func (a textAddr) Network() string {
	if a == "unix" {
		return "unix"
	}
	return "tcp"
}
func (a textAddr) String() string { return string(a) }
