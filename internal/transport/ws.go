package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/gobwas/ws"
)

// wsStage decodes the frames of one WebSocket connection. Frames are a mere
// envelope here: the payload of all data frames is one stream of bytes, as a
// packet may span frames and a frame may carry several packets [MQTT-6.0.0-2].
type wsStage struct {
	upgraded bool
	closed   bool // a close frame was sent
	leaving  bool // the connection goes to net/http

	fragmented bool // the current message goes on in a continuation frame
	op         ws.OpCode
	header     [ws.MaxHeaderSize]byte
	have       uint8 // bytes of header
	mask       [4]byte
	offset     uint8  // of the next payload byte, modulo 4
	left       uint64 // payload bytes to come
	control    []byte // payload of a control frame
}

// maxServerHeader is the largest header of the frames that are sent: they carry
// at most one output buffer and no mask.
const maxServerHeader = 4

// wsError closes a WebSocket connection with a status code.
type wsError struct {
	code ws.StatusCode
	text string
}

func (e *wsError) Error() string { return fmt.Sprintf("WebSocket: %s (%d)", e.text, e.code) }

// decode replaces the frames in p by their payload and returns its length.
// Control frames are answered on the way. What follows an error is lost.
func (w *wsStage) decode(c *Conn, b *Batch, p []byte) (n int, err error) {
	for i := 0; i < len(p) && !w.closed; {
		if w.left == 0 {
			var complete bool
			i, complete, err = w.readHeader(p, i)
			if err != nil {
				return n, err
			}
			if !complete {
				return n, nil
			}
		}
		k := int(min(w.left, uint64(len(p)-i)))
		part := p[i : i+k]
		ws.Cipher(part, w.mask, int(w.offset))
		w.offset = uint8(int(w.offset)+k) & 3
		w.left -= uint64(k)
		i += k
		if !w.op.IsControl() {
			n += copy(p[n:], part)
			continue
		}
		w.control = append(w.control, part...)
		if w.left == 0 {
			if err := w.answer(c, b); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// readHeader collects the header that begins or continues at p[i] and returns
// the index behind it.
func (w *wsStage) readHeader(p []byte, i int) (int, bool, error) {
	for i < len(p) {
		w.header[w.have] = p[i]
		w.have++
		i++
		if w.have < 2 || int(w.have) < headerLen(w.header[1]) {
			continue
		}
		w.have = 0
		return i, true, w.begin()
	}
	return i, false, nil
}

// headerLen is the length of a frame header by its second byte.
func headerLen(second byte) int {
	n := 2
	switch second & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if second&0x80 != 0 {
		n += 4
	}
	return n
}

// begin checks the header of a frame (RFC 6455, section 5.2).
func (w *wsStage) begin() error {
	first, second := w.header[0], w.header[1]
	final := first&0x80 != 0
	w.op = ws.OpCode(first & 0x0f)
	length, rest := uint64(second&0x7f), w.header[2:]
	switch length {
	case 126:
		length, rest = uint64(binary.BigEndian.Uint16(rest)), rest[2:]
	case 127:
		length, rest = binary.BigEndian.Uint64(rest), rest[8:]
	}
	switch {
	case first&0x70 != 0:
		return &wsError{ws.StatusProtocolError, "reserved bit set"}
	case second&0x80 == 0:
		return &wsError{ws.StatusProtocolError, "frame without mask"}
	case length>>63 != 0:
		return &wsError{ws.StatusProtocolError, "impossible length"}
	case w.op.IsControl() && (!final || length > ws.MaxControlFramePayloadSize):
		return &wsError{ws.StatusProtocolError, "control frame too long or in fragments"}
	}
	switch w.op {
	case ws.OpBinary, ws.OpContinuation:
		if w.fragmented != (w.op == ws.OpContinuation) {
			return &wsError{ws.StatusProtocolError, "fragments out of order"}
		}
		w.fragmented = !final
	case ws.OpText:
		return &wsError{ws.StatusUnsupportedData, "text frame"} // [MQTT-6.0.0-1]
	case ws.OpPing, ws.OpPong, ws.OpClose:
		w.control = w.control[:0]
	default:
		return &wsError{ws.StatusProtocolError, "unknown frame"}
	}
	w.mask, w.offset, w.left = [4]byte(rest), 0, length
	return nil
}

// answer acts on a complete control frame.
func (w *wsStage) answer(c *Conn, b *Batch) error {
	payload := w.control
	w.control = nil
	switch w.op {
	case ws.OpPing:
		// A peer that asks and does not listen fills nothing but its own buffer.
		if c.Buffered() < c.OutLimit() {
			c.sendRaw(b, controlFrame(ws.OpPong, payload))
		}
	case ws.OpClose:
		w.closed = true
		code := ws.StatusProtocolError
		switch {
		case len(payload) == 0:
			c.sendRaw(b, controlFrame(ws.OpClose, nil))
			return io.EOF
		case len(payload) > 1 && ws.CheckCloseFrameData(ws.ParseCloseFrameData(payload)) == nil:
			code, _ = ws.ParseCloseFrameData(payload)
		}
		c.sendRaw(b, closeFrame(code))
		return io.EOF
	}
	return nil
}

// bye appends the close frame that fits the cause.
func (w *wsStage) bye(c *Conn, b *Batch, cause error) {
	if !w.upgraded || w.closed || errors.Is(cause, io.EOF) {
		return
	}
	w.closed = true
	code := ws.StatusNormalClosure
	var e *wsError
	switch {
	case errors.As(cause, &e):
		code = e.code
	case errors.Is(cause, ErrServerClosed), errors.Is(cause, ErrListenerClosed):
		code = ws.StatusGoingAway
	}
	c.sendRaw(b, closeFrame(code))
}

func closeFrame(code ws.StatusCode) []byte {
	return controlFrame(ws.OpClose, binary.BigEndian.AppendUint16(nil, uint16(code)))
}

func controlFrame(op ws.OpCode, payload []byte) []byte {
	return append([]byte{0x80 | byte(op), byte(len(payload))}, payload...)
}

// putServerHeader makes the bytes of p one binary frame, whose header goes into
// the room in front of them. It returns the length of the header.
func putServerHeader(p *buffer) int {
	n := p.len()
	if n < 126 {
		p.r -= 2
		p.b[p.r], p.b[p.r+1] = 0x80|byte(ws.OpBinary), byte(n)
		return 2
	}
	p.r -= 4
	p.b[p.r], p.b[p.r+1] = 0x80|byte(ws.OpBinary), 126
	binary.BigEndian.PutUint16(p.b[p.r+2:], uint16(n))
	return 4
}
