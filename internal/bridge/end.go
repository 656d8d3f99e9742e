package bridge

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// writeTime bounds how long a peer may refuse to read.
const writeTime = time.Minute

// goodbyeTime is the same at the end.
const goodbyeTime = time.Second

// end is one of the two connections.
type end struct {
	name string // in errors: local or remote
	conn net.Conn
	v    packet.Version
	r    *bufio.Reader
	body []byte

	wrote, read atomic.Int64 // when, in unix ms
	leaving     atomic.Bool  // the connection is going to be closed

	mu sync.Mutex
	w  *bufio.Writer // guarded by mu
	p  []byte        // guarded by mu: the packet being written
}

func newEnd(name string, conn net.Conn, v packet.Version) *end {
	return &end{name: name, conn: conn, v: v, r: bufio.NewReaderSize(conn, 32<<10), w: bufio.NewWriterSize(conn, 32<<10)}
}

// next reads a packet. Its body is valid until the next call.
func (e *end) next() (packet.Header, []byte, error) {
	var head [5]byte
	for n := 0; n < len(head); {
		c, err := e.r.ReadByte()
		if err != nil {
			return packet.Header{}, nil, fmt.Errorf("%s: %w", e.name, err)
		}
		head[n] = c
		n++
		h, ok, err := packet.ReadHeader(head[:n])
		if err != nil {
			return h, nil, fmt.Errorf("%s: %w", e.name, err)
		}
		if ok {
			err := e.fill(h.Remaining)
			e.read.Store(time.Now().UnixMilli())
			return h, e.body, err
		}
	}
	return packet.Header{}, nil, errors.New(e.name + ": a packet without a length")
}

// fill reads a body. The buffer grows with what has come, not with what was announced.
func (e *end) fill(n int) error {
	const step = 1 << 20
	e.body = e.body[:0]
	for len(e.body) < n {
		have := len(e.body)
		more := min(n-have, max(step, have))
		if cap(e.body) < have+more {
			e.body = append(make([]byte, 0, have+more), e.body...)
		}
		e.body = e.body[:have+more]
		if _, err := io.ReadFull(e.r, e.body[have:]); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return nil
}

// idle reports whether the next read may have to wait.
func (e *end) idle() bool { return e.r.Buffered() == 0 }

// leave bounds what is still written: nobody waits long for a peer that does not read.
func (e *end) leave() {
	e.leaving.Store(true)
	e.conn.SetDeadline(time.Now().Add(goodbyeTime))
}

func (e *end) writeDeadline() time.Time {
	if e.leaving.Load() {
		return time.Now().Add(goodbyeTime)
	}
	return time.Now().Add(writeTime)
}

// write buffers a packet.
func (e *end) write(p packet.Packet) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.p = p.Append(e.p[:0], e.v)
	e.conn.SetWriteDeadline(e.writeDeadline())
	e.wrote.Store(time.Now().UnixMilli())
	if _, err := e.w.Write(e.p); err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	if cap(e.p) > 1<<20 {
		e.p = nil
	}
	return nil
}

// flush sends what is buffered.
func (e *end) flush() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.w.Buffered() == 0 {
		return nil
	}
	e.conn.SetWriteDeadline(e.writeDeadline())
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	return nil
}

// refusal is a CONNACK that says no.
type refusal struct {
	at   string
	code packet.Code
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s broker refuses the bridge: %v", r.at, r.code)
}

// greet sends CONNECT and reads CONNACK.
func (e *end) greet(c *packet.Connect) (*packet.Connack, error) {
	if err := e.write(c); err != nil {
		return nil, err
	}
	if err := e.flush(); err != nil {
		return nil, err
	}
	h, body, err := e.next()
	if err != nil {
		return nil, err
	}
	v := c.Version
	if len(body) == 2 { // an older server answers in its own version
		v = packet.V311
	}
	a := new(packet.Connack)
	if h.Type != packet.TypeConnack {
		return nil, fmt.Errorf("%s: the first packet is not CONNACK", e.name)
	}
	if err := a.Decode(h.Flags, body, v); err != nil {
		return nil, fmt.Errorf("%s: CONNACK: %w", e.name, err)
	}
	if a.Code != packet.Success {
		return nil, &refusal{e.name, a.Code}
	}
	return a, nil
}
