package transport

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

var webKinds = []kind{
	{name: "ws", network: "tcp", ws: true},
	{name: "wss", network: "tcp", tls: true, ws: true},
	{name: "ws-goroutines", network: "tcp", ws: true, goroutines: true},
	{name: "wss-goroutines", network: "tcp", tls: true, ws: true, goroutines: true},
	{name: "ws-pipe", network: "pipe", ws: true},
	{name: "wss-pipe", network: "pipe", tls: true, ws: true},
}

// below is the connection on which WebSocket is spoken.
func (r *rig) below(t testing.TB) net.Conn {
	c := r.raw(t)
	if r.tls {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	return c
}

const upgrade = "GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, mqtt\r\n"

func TestUpgrade(t *testing.T) {
	cases := []struct {
		name, request string
		status        int
	}{
		{"accepted", upgrade + "\r\n", 101},
		{"allowed origin", upgrade + "Origin: https://good\r\n\r\n", 101},
		{"other origin", upgrade + "Origin: https://evil\r\n\r\n", 403},
		{"other path", strings.Replace(upgrade, "/mqtt", "/", 1) + "\r\n", 404},
		{"no sub-protocol [MQTT-6.0.0-3]", strings.Replace(upgrade, "chat, mqtt", "chat", 1) + "\r\n", 400},
		{"old version", strings.Replace(upgrade, "Version: 13", "Version: 8", 1) + "\r\n", 426},
		{"bad key", strings.Replace(upgrade, "dGhl", "", 1) + "\r\n", 400},
		{"post", strings.Replace(upgrade, "GET", "POST", 1) + "\r\n", 400},
		{"HTTP/1.0", strings.Replace(upgrade, "HTTP/1.1", "HTTP/1.0", 1) + "\r\n", 400},
		{"plain request", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 426},
		{"no request", "\x10\x0c\x00\x04MQTT\r\n\r\n", 400},
		{"too large", upgrade + "X: " + strings.Repeat("x", maxRequest) + "\r\n\r\n", 431},
	}
	for _, k := range webKinds {
		t.Run(k.name, func(t *testing.T) {
			handlers, _ := probes(t, &probe{})
			r := start(t, k, Config{NewHandler: handlers},
				ListenerConfig{WebSocketPath: "/mqtt", AllowedOrigins: []string{"https://good"}})
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					conn := r.below(t)
					go io.WriteString(conn, c.request)
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil {
						t.Fatal(err)
					}
					if resp.StatusCode != c.status {
						t.Fatalf("%s, want %d", resp.Status, c.status)
					}
					if c.status != 101 {
						if text, err := io.ReadAll(resp.Body); err != nil || len(text) < 10 {
							t.Errorf("explained by %q, %v", text, err)
						}
						return
					}
					// The values of RFC 6455, section 1.3, and [MQTT-6.0.0-4].
					if got := resp.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
						t.Errorf("accepted with %q", got)
					}
					if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != "mqtt" {
						t.Errorf("sub-protocol %q", got)
					}
				})
			}
		})
	}
}

// open upgrades a connection by hand, to say then what no client says.
func open(t *testing.T, r *rig) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn := r.below(t)
	go io.WriteString(conn, upgrade+"\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	return conn, in
}

func frame(final bool, op ws.OpCode, payload string) []byte {
	return ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, final, []byte(payload))))
}

func TestFrames(t *testing.T) {
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	cases := []struct {
		name string
		send []byte
		want []string // payloads or close codes of the answers
	}{
		{"one", frame(true, ws.OpBinary, "abc"), []string{"abc"}},
		{"empty", join(frame(true, ws.OpBinary, ""), frame(true, ws.OpBinary, "x")), []string{"x"}},
		{"fragments [MQTT-6.0.0-2]", join(frame(false, ws.OpBinary, "ab"), frame(true, ws.OpPing, "p"), frame(false, ws.OpContinuation, "cd"),
			frame(true, ws.OpContinuation, "ef")), []string{"ping p", "abcdef"}},
		{"ping", frame(true, ws.OpPing, "are you there"), []string{"ping are you there"}},
		{"pong is ignored", join(frame(true, ws.OpPong, "x"), frame(true, ws.OpBinary, "y")), []string{"y"}},
		{"close", frame(true, ws.OpClose, "\x03\xe8bye"), []string{"close 1000"}},
		{"close without code", frame(true, ws.OpClose, ""), []string{"close 1005"}},
		{"close with half a code", frame(true, ws.OpClose, "\x03"), []string{"close 1002"}},
		{"close with a forbidden code", frame(true, ws.OpClose, "\x03\xed"), []string{"close 1002"}},
		{"data before close", join(frame(true, ws.OpBinary, "last"), frame(true, ws.OpClose, "\x03\xe8")), []string{"close 1000", "last"}},
		{"text [MQTT-6.0.0-1]", frame(true, ws.OpText, "abc"), []string{"close 1003"}},
		{"no mask", ws.MustCompileFrame(ws.NewBinaryFrame([]byte("abc"))), []string{"close 1002"}},
		{"long ping", frame(true, ws.OpPing, strings.Repeat("x", 126)), []string{"close 1002"}},
		{"ping in fragments", frame(false, ws.OpPing, "x"), []string{"close 1002"}},
		{"continuation of nothing", frame(true, ws.OpContinuation, "x"), []string{"close 1002"}},
		{"two beginnings", join(frame(false, ws.OpBinary, "x"), frame(true, ws.OpBinary, "y")), []string{"close 1002", "x"}},
		{"reserved bit", []byte{0xc2, 0x80, 0, 0, 0, 0}, []string{"close 1002"}},
		{"unknown frame", []byte{0x83, 0x80, 0, 0, 0, 0}, []string{"close 1002"}},
		{"impossible length", []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, []string{"close 1002"}},
		// Nothing is allocated for a length that is only announced.
		{"huge length", []byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'h'}, []string{"h"}},
	}
	for _, k := range webKinds {
		t.Run(k.name, func(t *testing.T) {
			handlers, _ := probes(t, &probe{})
			r := start(t, k, Config{NewHandler: handlers}, ListenerConfig{})
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					conn, in := open(t, r)
					go conn.Write(c.send)
					checkAnswers(t, in, c.want)
				})
				t.Run(c.name+", byte by byte", func(t *testing.T) {
					conn, in := open(t, r)
					go func() {
						for i := range c.send {
							conn.Write(c.send[i : i+1])
						}
					}()
					checkBytewise(t, in, c.want)
				})
			}
		})
	}
}

// checkAnswers compares frames in any order: data is answered before or after
// control frames that came later in the same read.
func checkAnswers(t *testing.T, in *bufio.Reader, want []string) {
	t.Helper()
	open := map[string]bool{}
	for _, w := range want {
		open[w] = true
	}
	for range want {
		got := nextAnswer(t, in)
		if !open[got] {
			t.Fatalf("answered %q, want %q", got, want)
		}
		delete(open, got)
	}
}

// checkBytewise joins the payload of all data frames.
func checkBytewise(t *testing.T, in *bufio.Reader, want []string) {
	t.Helper()
	data, wanted := "", ""
	var control []string
	for _, w := range want {
		if isControl(w) {
			control = append(control, w)
		} else {
			wanted += w
		}
	}
	for len(control) > 0 || data != wanted {
		got := nextAnswer(t, in)
		switch {
		case !isControl(got):
			data += got
		case len(control) > 0 && got == control[0]:
			control = control[1:]
		default:
			t.Fatalf("answered %q, want %q", got, want)
		}
		if !strings.HasPrefix(wanted, data) {
			t.Fatalf("answered %q, want %q", data, wanted)
		}
	}
}

func isControl(answer string) bool {
	return strings.HasPrefix(answer, "close") || strings.HasPrefix(answer, "ping")
}

func nextAnswer(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	var f ws.Frame
	var err error
	if f.Header, err = ws.ReadHeader(in); err != nil {
		t.Fatal(err)
	}
	f.Payload = make([]byte, f.Header.Length)
	if _, err := io.ReadFull(in, f.Payload); err != nil {
		t.Fatal(err)
	}
	switch f.Header.OpCode {
	case ws.OpPong:
		return "ping " + string(f.Payload)
	case ws.OpClose:
		code, _ := ws.ParseCloseFrameData(f.Payload)
		return "close " + map[ws.StatusCode]string{0: "1005", 1000: "1000", 1001: "1001", 1002: "1002", 1003: "1003", 1005: "1005"}[code]
	}
	return string(f.Payload)
}

// TestCloseFrames: the server says goodbye with the code that fits.
func TestCloseFrames(t *testing.T) {
	for _, c := range []struct {
		cause error
		want  string
	}{{nil, "close 1000"}, {errors.New("keep-alive"), "close 1000"}, {ErrServerClosed, "close 1001"}} {
		handlers, made := probes(t, &probe{})
		r := start(t, webKinds[0], Config{NewHandler: handlers, CloseTimeout: 100 * time.Millisecond}, ListenerConfig{})
		_, in := open(t, r)
		await(t, made).c.Close(c.cause)
		checkAnswers(t, in, []string{c.want})
		r.stop()
	}
}

// TestHandOver: requests that do not ask for WebSocket reach the HTTP handler,
// on the same port and with keep-alive.
func TestHandOver(t *testing.T) {
	for _, k := range webKinds {
		t.Run(k.name, func(t *testing.T) {
			handlers, _ := probes(t, &probe{})
			page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if (r.TLS != nil) != k.tls {
					t.Errorf("TLS state %v", r.TLS)
				}
				io.WriteString(w, r.Method+" "+r.URL.Path+" "+string(body))
			})
			r := start(t, k, Config{NewHandler: handlers}, ListenerConfig{HTTP: page})
			conn := r.below(t)
			in := bufio.NewReader(conn)
			body := strings.Repeat("x", 100000)
			for range 3 {
				go func() {
					req, _ := http.NewRequest("POST", "http://host/page", strings.NewReader(body))
					req.Write(conn)
				}()
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				if err != nil || string(got) != "POST /page "+body {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
			}
			exchange(t, r.dial(t), []byte("WebSocket beside it"))
			conn.Close()
			eventually(t, "the HTTP connection goes", func() bool { return r.ln.Connections() <= 1 })
		})
	}
}

// TestWrongPort: peers at the wrong port are told apart in the log.
func TestWrongPort(t *testing.T) {
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	cases := []struct {
		kind, send string
		want       error
	}{
		{"tcp", hello, ErrTLSOnPlain},
		{"tcp", "GET / HTTP/1.1\r\n", ErrHTTPOnPlain},
		{"tcp-goroutines", hello, ErrTLSOnPlain},
	}
	for _, c := range cases {
		for _, k := range kinds {
			if k.name != c.kind {
				continue
			}
			handlers, made := probes(t, &probe{})
			r := start(t, k, Config{NewHandler: handlers}, ListenerConfig{})
			io.WriteString(r.raw(t), c.send)
			if err := await(t, await(t, made).closed); err != c.want {
				t.Errorf("%s: closed by %v, want %v", k.name, err, c.want)
			}
			r.stop()
		}
	}
}

// TestUnready: connections that never get ready end, and never have a handler.
func TestUnready(t *testing.T) {
	for _, k := range kinds {
		if !k.tls && !k.ws {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			handlers, made := probes(t, &probe{})
			r := start(t, k, Config{NewHandler: handlers, HandshakeTimeout: 300 * time.Millisecond}, ListenerConfig{})
			silent, plain, half := r.raw(t), r.raw(t), r.raw(t)
			go io.WriteString(plain, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
			go io.WriteString(half, map[bool]string{true: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", false: "GET /"}[k.tls])
			for _, c := range []net.Conn{silent, plain, half} {
				io.Copy(io.Discard, c)
				c.Close()
			}
			eventually(t, "they go", func() bool { return r.ln.Connections() == 0 })
			if len(made) != 0 {
				t.Error("a connection got ready")
			}
		})
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(true, ws.OpBinary, "abc"), 1)
	f.Add(bytes.Join([][]byte{frame(false, ws.OpBinary, "ab"), frame(true, ws.OpPing, "p"), frame(true, ws.OpContinuation, "cd")}, nil), 3)
	f.Add([]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'h'}, 2)
	s := New(Config{})
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		whole, wholeErr := decodeAll(s, data, len(data))
		parts, partsErr := decodeAll(s, data, 1+step&15)
		// However the bytes arrive, they mean the same.
		if !bytes.Equal(whole, parts) || (wholeErr == nil) != (partsErr == nil) {
			t.Fatalf("whole %x %v, in parts %x %v", whole, wholeErr, parts, partsErr)
		}
		if len(whole) > len(data) {
			t.Fatal("more came out than went in")
		}
	})
}

func decodeAll(s *Server, data []byte, step int) (out []byte, err error) {
	c := &Conn{l: &Listener{s: s}, ws: &wsStage{upgraded: true}}
	b := s.newBatch()
	for len(data) > 0 && err == nil {
		p := bytes.Clone(data[:min(step, len(data))])
		data = data[len(p):]
		var n int
		n, err = c.ws.decode(c, b, p)
		out = append(out, p[:n]...)
	}
	return out, err
}
