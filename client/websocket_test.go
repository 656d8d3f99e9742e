package client

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"github.com/gobwas/ws"
)

// tape is a connection on which everything was said already.
type tape struct {
	net.Conn
	out bytes.Buffer
}

func (c *tape) Write(p []byte) (int, error) { return c.out.Write(p) }

// play reads all that the stream of a server has to say. answers are the frames that it got.
func play(r io.Reader) (data []byte, answers []byte, err error) {
	conn := new(tape)
	c := &wsConn{Conn: conn, r: bufio.NewReaderSize(r, 16)}
	buf := make([]byte, 7)
	for {
		n, err := c.Read(buf)
		data = append(data, buf[:n]...)
		if err != nil {
			return data, conn.out.Bytes(), err
		}
	}
}

func serverFrame(final bool, op ws.OpCode, payload string) []byte {
	return ws.MustCompileFrame(ws.NewFrame(op, final, []byte(payload)))
}

// What a server sends is checked: everything but binary data and control frames of a right form ends the connection.
// [MQTT-6.0.0-1] [MQTT-6.0.0-2]
func TestServerFrames(t *testing.T) {
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	for _, tc := range []struct {
		name, data string
		stream     []byte
		code       ws.StatusCode // of the close frame that answers; 0: none
	}{
		{"two messages", "abc", join(serverFrame(true, ws.OpBinary, "ab"), serverFrame(true, ws.OpBinary, "c")), 0},
		{"fragments, a ping between", "abcd", join(serverFrame(false, ws.OpBinary, "ab"), serverFrame(true, ws.OpPing, "?"), serverFrame(false, ws.OpContinuation, ""),
			serverFrame(true, ws.OpContinuation, "cd")), 0},
		{"pong", "a", join(serverFrame(true, ws.OpPong, "x"), serverFrame(true, ws.OpBinary, "a")), 0},
		{"close", "a", join(serverFrame(true, ws.OpBinary, "a"), serverFrame(true, ws.OpClose, "\x03\xe9bye")), 1001},
		{"text", "a", join(serverFrame(true, ws.OpBinary, "a"), serverFrame(true, ws.OpText, "b")), 0},
		{"masked", "", ws.MustCompileFrame(ws.MaskFrame(ws.NewBinaryFrame([]byte("abc")))), 0},
		{"reserved bit", "", []byte{0xc2, 1, 'a'}, 0},
		{"unknown data", "", []byte{0x83, 1, 'a'}, 0},
		{"unknown control", "", []byte{0x8b, 1, 'a'}, 0},
		{"long ping", "", serverFrame(true, ws.OpPing, string(make([]byte, 126))), 0},
		{"half a ping", "", serverFrame(false, ws.OpPing, "x"), 0},
		{"continuation of nothing", "", serverFrame(true, ws.OpContinuation, "x"), 0},
		{"two beginnings", "a", join(serverFrame(false, ws.OpBinary, "a"), serverFrame(true, ws.OpBinary, "b")), 0},
		{"a length of 63 bits", "a", []byte{0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'a'}, 0},
	} {
		data, answers, err := play(bytes.NewReader(tc.stream))
		if string(data) != tc.data || err == nil {
			t.Errorf("%s: %q, %v", tc.name, data, err)
		}
		if code := closeCode(t, answers); code != tc.code {
			t.Errorf("%s: answered with %d, want %d", tc.name, code, tc.code)
		}
	}
}

// closeCode is what the client's close frame says, 0 if there is none. Its frames are masked.
func closeCode(t *testing.T, answers []byte) (code ws.StatusCode) {
	for r := bytes.NewReader(answers); r.Len() > 0; {
		h, err := ws.ReadHeader(r)
		if err != nil || !h.Masked || !h.Fin || h.Length > int64(r.Len()) {
			t.Fatalf("%+v, %v", h, err)
		}
		payload := make([]byte, h.Length)
		r.Read(payload)
		if ws.Cipher(payload, h.Mask, 0); h.OpCode == ws.OpClose {
			code = ws.StatusCode(binary.BigEndian.Uint16(payload))
		}
	}
	return code
}

// However the stream of a server is cut into reads, the same data come out and the same answers go back, and never more
// than has come.
func FuzzWebSocket(f *testing.F) {
	f.Add(bytes.Join([][]byte{serverFrame(false, ws.OpBinary, "ab"), serverFrame(true, ws.OpPing, "?"), serverFrame(true, ws.OpContinuation, "cd")}, nil))
	f.Add(serverFrame(true, ws.OpClose, "\x03\xe8"))
	f.Add(serverFrame(true, ws.OpText, "text"))
	f.Add([]byte{0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'a'})
	f.Add([]byte{0x82, 0x7e, 0, 3, 'a', 'b', 'c', 0x89, 0x80, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, answers, err := play(bytes.NewReader(stream))
		cut, again, cutErr := play(iotest.OneByteReader(bytes.NewReader(stream)))
		if !bytes.Equal(whole, cut) || len(answers) != len(again) || err.Error() != cutErr.Error() {
			t.Fatalf("%x, %x, %v; byte by byte %x, %x, %v", whole, answers, err, cut, again, cutErr)
		}
		if len(whole) > len(stream) || len(answers) > 6*len(stream) {
			t.Fatalf("%d bytes in, %d out, %d back", len(stream), len(whole), len(answers))
		}
	})
}
