package crash

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// wire is one connection of one client, in raw packets, used by one goroutine.
type wire struct {
	net.Conn
	c           *campaign
	who         string
	incarnation int           // of the broker
	down        chan struct{} // closed when that is killed
	r           *bufio.Reader
	v           packet.Version
	out         []byte
}

// lost says that a connection has ended, which is no fault when the broker was
// killed.
type lost struct{ error }

func (l lost) Unwrap() error { return l.error }

// dial connects to the broker, at once.
func dial(c *campaign, who, addr string) (*wire, error) {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	conn, err := net.Dial(network, addr)
	if err != nil {
		return nil, lost{err}
	}
	return &wire{Conn: conn, c: c, who: who, r: bufio.NewReader(conn)}, nil
}

// open sends CONNECT and returns the answer.
func (w *wire) open(k *packet.Connect) (*packet.Connack, error) {
	w.v = k.Version
	p, err := w.ask(k)
	if err != nil {
		return nil, err
	}
	ack, ok := p.(*packet.Connack)
	if !ok || ack.Code != packet.Success {
		return nil, fmt.Errorf("answer to CONNECT: %s", describe(p))
	}
	return ack, nil
}

func (w *wire) ask(p packet.Packet) (packet.Packet, error) {
	if _, err := w.send(p); err != nil {
		return nil, err
	}
	return w.next()
}

// send writes the packets at once and returns the number of the first in the
// history.
func (w *wire) send(list ...packet.Packet) (first uint64, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	w.out = w.out[:0]
	for _, p := range list {
		n := w.c.h.note(w.who, "> "+describe(p))
		if first == 0 {
			first = n
		}
		w.out = p.Append(w.out, w.v)
	}
	_ = w.SetWriteDeadline(time.Now().Add(patience))
	if _, err := w.Write(w.out); err != nil {
		return first, lost{err}
	}
	return first, nil
}

// next reads a packet. It fails when none comes in time.
func (w *wire) next() (packet.Packet, error) {
	p, _, err := w.receive()
	return p, err
}

// receive is next with the packet's number in the history.
func (w *wire) receive() (packet.Packet, uint64, error) {
	_ = w.SetReadDeadline(time.Now().Add(patience))
	for n := 2; ; n++ {
		head, err := w.r.Peek(n)
		if err != nil {
			return nil, 0, lost{err}
		}
		h, ok, err := packet.ReadHeader(head)
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			continue
		}
		b := make([]byte, h.Size+h.Remaining)
		if _, err := io.ReadFull(w.r, b); err != nil {
			return nil, 0, lost{err}
		}
		p, err := packet.Decode(h, b[h.Size:], w.v)
		if err != nil {
			return nil, 0, fmt.Errorf("packet %x: %w", b, err)
		}
		n := w.c.h.note(w.who, "< "+describe(p))
		if d, ok := p.(*packet.Disconnect); ok && d.Code == packet.ServerShuttingDown {
			return nil, n, lost{errors.New("the broker stops")}
		}
		return p, n, nil
	}
}

// leave sends DISCONNECT and waits until the broker has closed the connection.
func (w *wire) leave(d *packet.Disconnect) error {
	if _, err := w.send(d); err != nil {
		return err
	}
	return w.awaitEnd()
}

// hangUp ends the connection without a DISCONNECT and waits until the broker has
// seen it.
func (w *wire) hangUp() error {
	w.c.h.note(w.who, "hangs up")
	if err := w.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return lost{err}
	}
	return w.awaitEnd()
}

func (w *wire) awaitEnd() error {
	for {
		_, err := w.next()
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// pause waits, but not when the broker is down.
func (w *wire) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.down:
	}
}
