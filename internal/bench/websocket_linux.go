package bench

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gobwas/ws"
)

// wsFraming is the WebSocket side of a link after the upgrade (RFC 6455 section 5).
type wsFraming struct {
	mask   [4]byte
	out    []byte // the last frame made
	header []byte // the beginning of a frame that is not complete
	left   int    // payload bytes of the current frame that have not come
	op     ws.OpCode
	ctl    []byte // payload of a control frame so far
}

func newFraming() *wsFraming { return &wsFraming{mask: ws.NewMask()} }

// frame wraps p in one binary frame; the result is valid until the next call.
func (f *wsFraming) frame(p []byte) []byte { return f.frameOf(ws.OpBinary, p) }

func (f *wsFraming) frameOf(op ws.OpCode, p []byte) []byte {
	const masked = 0x80
	b := append(f.out[:0], 0x80|byte(op))
	switch n := len(p); {
	case n < 126:
		b = append(b, masked|byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	b = append(b, f.mask[:]...)
	at := len(b)
	b = append(b, p...)
	ws.Cipher(b[at:], f.mask, 0)
	f.out = b
	return b
}

// feed takes bytes from the peer and hands on the payload.
func (f *wsFraming) feed(l *link, b []byte) error {
	for len(b) > 0 && l.state != closed {
		if f.left == 0 {
			rest, err := f.begin(l, b)
			if err != nil {
				return err
			}
			b = rest
			continue
		}
		n := min(f.left, len(b))
		f.left -= n
		if f.op.IsControl() {
			f.ctl = append(f.ctl, b[:n]...)
			if f.left == 0 {
				if err := f.control(l); err != nil {
					return err
				}
			}
		} else {
			l.parse(b[:n])
		}
		b = b[n:]
	}
	return nil
}

// begin reads the header of a frame.
func (f *wsFraming) begin(l *link, b []byte) (rest []byte, err error) {
	had := len(f.header)
	f.header = append(f.header, b[:min(len(b), 10)]...)
	h := f.header
	size := 2
	if len(h) >= 2 {
		switch h[1] & 0x7F {
		case 126:
			size = 4
		case 127:
			size = 10
		}
	}
	if len(h) < size {
		return nil, nil
	}
	length := uint64(h[1] & 0x7F)
	switch size {
	case 4:
		length = uint64(binary.BigEndian.Uint16(h[2:]))
	case 10:
		length = binary.BigEndian.Uint64(h[2:])
	}
	f.op = ws.OpCode(h[0] & 0x0F)
	f.header = f.header[:0]
	switch {
	case h[1]&0x80 != 0:
		return nil, errors.New("WebSocket: the server masks its frames")
	case length > 1<<31:
		return nil, fmt.Errorf("WebSocket: a frame of %d bytes", length)
	case f.op == ws.OpText || f.op.IsReserved():
		return nil, fmt.Errorf("WebSocket: a frame of type %d", f.op)
	case f.op.IsControl() && length > 125:
		return nil, errors.New("WebSocket: a control frame that is too long")
	}
	f.left = int(length)
	if f.op.IsControl() && length == 0 {
		err = f.control(l)
	}
	return b[size-had:], err
}

// control answers a ping and obeys a close.
func (f *wsFraming) control(l *link) error {
	payload := f.ctl
	f.ctl = f.ctl[:0]
	switch f.op {
	case ws.OpClose:
		return errors.New("the broker closed the WebSocket")
	case ws.OpPing:
		if err := l.seal(); err != nil {
			return err
		}
		pong := f.frameOf(ws.OpPong, payload)
		if l.tls != nil {
			if _, err := l.tls.Write(pong); err != nil {
				return err
			}
			pong = l.pipe.sealed
			l.pipe.sealed = l.pipe.sealed[:0]
		}
		l.wire = append(l.wire, pong...)
		l.e.touch(l)
	}
	return nil
}
