package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// maxControl is the largest payload of a WebSocket control frame (RFC 6455 section 5.5).
const maxControl = 125

// upgrade does the WebSocket handshake over conn, which it closes on error. The subprotocol is mqtt [MQTT-6.0.0-3].
func (t *target) upgrade(ctx context.Context, conn net.Conn, header http.Header) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	d := ws.Dialer{Protocols: []string{"mqtt"}, Header: ws.HandshakeHeaderHTTP(header)}
	buffered, shake, err := d.Upgrade(conn, t.ws)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil && shake.Protocol != "mqtt" { // [MQTT-6.0.0-4]
		err = errors.New("the server did not choose the subprotocol mqtt")
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect: WebSocket: %w", err)
	}
	if buffered == nil {
		buffered = bufio.NewReaderSize(conn, 4096)
	}
	return &wsConn{Conn: conn, r: buffered}, nil
}

// wsConn carries a byte stream in binary frames, as a client. One goroutine may read while another writes.
type wsConn struct {
	net.Conn
	r    *bufio.Reader
	rest int64 // unread bytes of the current data frame
	more bool  // the message goes on in a continuation frame

	writing sync.Mutex // a pong may fall between the writer's frames
	out     []byte     // guarded by writing
}

// Read gives payload bytes of data frames, and answers what stands between them.
func (c *wsConn) Read(b []byte) (int, error) {
	for c.rest == 0 {
		if err := c.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.rest)])
	c.rest -= int64(n)
	return n, err
}

func (c *wsConn) nextFrame() error {
	h, err := ws.ReadHeader(c.r)
	if err != nil {
		return err
	}
	if why := c.refuses(&h); why != "" {
		return errors.New("WebSocket: the server sent " + why) // and may not listen
	}
	if !h.OpCode.IsControl() {
		c.rest, c.more = h.Length, !h.Fin
		return nil
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		return c.writeFrame(ws.OpPong, payload)
	case ws.OpClose:
		c.writeFrame(ws.OpClose, payload[:min(len(payload), 2)])
		return io.EOF
	}
	return nil
}

// refuses says what is wrong with a frame, "" if nothing is (RFC 6455 sections 5.1 to 5.5).
func (c *wsConn) refuses(h *ws.Header) string {
	switch {
	case h.OpCode == ws.OpText: // [MQTT-6.0.0-1]
		return "text"
	case h.Rsv != 0:
		return "a reserved bit"
	case h.Masked:
		return "a masked frame"
	case h.OpCode.IsReserved():
		return "an unknown frame"
	case h.OpCode.IsControl() && (!h.Fin || h.Length > maxControl):
		return "a control frame that is too large or in fragments"
	case h.OpCode.IsData() && c.more != (h.OpCode == ws.OpContinuation):
		return "fragments out of order"
	}
	return ""
}

// Write sends b as one binary frame [MQTT-6.0.0-1]; a packet may span frames and a frame several packets
// [MQTT-6.0.0-2].
func (c *wsConn) Write(b []byte) (int, error) {
	if err := c.writeFrame(ws.OpBinary, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (c *wsConn) writeFrame(op ws.OpCode, payload []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	w := frameBuffer{c.out[:0]}
	h := ws.Header{Fin: true, OpCode: op, Length: int64(len(payload)), Masked: true, Mask: ws.NewMask()}
	if err := ws.WriteHeader(&w, h); err != nil {
		return err
	}
	start := len(w.b)
	w.b = append(w.b, payload...)
	ws.Cipher(w.b[start:], h.Mask, 0)
	c.out = w.b
	_, err := c.Conn.Write(w.b)
	if cap(c.out) > keepBuffer {
		c.out = nil
	}
	return err
}

// CloseWrite says that nothing follows; the server answers by closing.
func (c *wsConn) CloseWrite() error { return c.writeFrame(ws.OpClose, []byte{0x03, 0xE8}) }

type frameBuffer struct{ b []byte }

func (w *frameBuffer) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}
