package transport

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// TestSuite holds every kind of connection to the contract of Handler and Conn.
func TestSuite(t *testing.T) {
	cases := []struct {
		name string
		run  func(t *testing.T, k kind)
	}{
		{"echo", testEcho},
		{"byte by byte", testBytewise},
		{"large packets", testLarge},
		{"peer closes", testPeerCloses},
		{"half close", testHalfClose},
		{"feed error flushes", testFeedError},
		{"close from elsewhere", testCloseElsewhere},
		{"slow receiver", testSlowReceiver},
		{"pause", testPause},
		{"write timeout", testWriteTimeout},
		{"many", testMany},
		{"listener close", testListenerClose},
		{"server stops", testServerStops},
		{"limit of connections", testMaxConnections},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) { c.run(t, k) })
			}
		})
	}
}

func testEcho(t *testing.T, k kind) {
	handlers, made := probes(t, &probe{})
	r := start(t, k, Config{NewHandler: handlers}, ListenerConfig{Name: "one", Data: 7})
	c := r.dial(t)
	exchange(t, c, []byte("hello"))
	exchange(t, c, bytes.Repeat([]byte("x"), 5000))
	p := await(t, made)
	if p.c.Listener() != r.ln || r.ln.Data() != 7 || r.ln.Name() != "one" || r.ln.Connections() != 1 {
		t.Errorf("listener %q with %v and %d connections", r.ln.Name(), r.ln.Data(), r.ln.Connections())
	}
	if (p.c.TLSState() != nil) != k.tls {
		t.Errorf("TLS state %v", p.c.TLSState())
	}
	if k.network == "tcp" && (p.c.RemoteAddr() != r.clientAddr(c) || p.c.LocalAddr() != r.ln.Addr().String()) {
		t.Errorf("%s -> %s, want %s -> %s", p.c.RemoteAddr(), p.c.LocalAddr(), r.clientAddr(c), r.ln.Addr())
	}
}

func (r *rig) clientAddr(c net.Conn) string { return c.LocalAddr().String() }

// exchange sends p and expects it back.
func exchange(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(p)
		sent <- err
	}()
	got := make([]byte, len(p))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if err := await(t, sent); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, p) {
		t.Fatal("the echo differs")
	}
}

// packets is a Feed that echoes only whole packets: a length of four bytes and
// so many bytes.
func packets(p *probe, b *Batch, data []byte) (int, error) {
	used := 0
	for len(data)-used >= 4 {
		n := 4 + int(binary.BigEndian.Uint32(data[used:]))
		if len(data)-used < n {
			break
		}
		if !p.c.Send2(b, data[used:used+4], data[used+4:used+n]) {
			return used, errors.New("no room")
		}
		used += n
	}
	return used, nil
}

func packet(n int) []byte {
	p := make([]byte, 4+n)
	rand.Read(p)
	binary.BigEndian.PutUint32(p, uint32(n))
	return p
}

func testBytewise(t *testing.T, k kind) {
	handlers, _ := probes(t, &probe{feed: packets})
	c := start(t, k, Config{NewHandler: handlers}, ListenerConfig{}).dial(t)
	want := packet(20)
	for i := range want {
		if _, err := c.Write(want[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%x, %v, want %x", got, err, want)
	}
}

func testLarge(t *testing.T, k kind) {
	handlers, made := probes(t, &probe{feed: packets})
	r := start(t, k, Config{NewHandler: handlers, OutLimit: 4 << 20}, ListenerConfig{})
	c := r.dial(t)
	for _, n := range []int{60 << 10, 1 << 20, 100, 3<<20 - 1, 70000} {
		exchange(t, c, packet(n))
	}
	p := await(t, made)
	c.Close()
	await(t, p.closed)
}

func testPeerCloses(t *testing.T, k kind) {
	handlers, made := probes(t, &probe{})
	c := start(t, k, Config{NewHandler: handlers}, ListenerConfig{}).dial(t)
	exchange(t, c, []byte("x"))
	c.Close()
	if err := await(t, await(t, made).closed); err != io.EOF {
		t.Errorf("closed by %v", err)
	}
}

// testHalfClose: what was asked before the peer closed its side is answered.
func testHalfClose(t *testing.T, k kind) {
	half := func(c net.Conn) bool {
		h, ok := c.(interface{ CloseWrite() error })
		return ok && h.CloseWrite() == nil
	}
	handlers, made := probes(t, &probe{feed: packets})
	c := start(t, k, Config{NewHandler: handlers}, ListenerConfig{}).dial(t)
	want := packet(1000)
	if k.network == "pipe" {
		t.Skip("a pipe has no halves")
	}
	if _, err := c.Write(want); err != nil {
		t.Fatal(err)
	}
	if !half(c) {
		t.Fatal("cannot close one side")
	}
	got, err := io.ReadAll(c)
	if !bytes.Equal(got, want) || (err != nil && !k.ws) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := await(t, await(t, made).closed); err != io.EOF {
		t.Errorf("closed by %v", err)
	}
}

// testFeedError: a last packet before an error reaches the peer, even with
// input that nobody reads.
func testFeedError(t *testing.T, k kind) {
	failure := errors.New("malformed")
	handlers, made := probes(t, &probe{feed: func(p *probe, b *Batch, data []byte) (int, error) {
		p.c.SendControl(b, []byte("goodbye"))
		return 0, failure
	}})
	c := start(t, k, Config{NewHandler: handlers}, ListenerConfig{}).dial(t)
	go c.Write(make([]byte, 300<<10))
	got := make([]byte, 7)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "goodbye" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := await(t, await(t, made).closed); err != failure {
		t.Errorf("closed by %v", err)
	}
}

// testCloseElsewhere: Close from other goroutines, as in a takeover; the first
// cause wins and what was sent before arrives.
func testCloseElsewhere(t *testing.T, k kind) {
	handlers, made := probes(t, &probe{})
	r := start(t, k, Config{NewHandler: handlers}, ListenerConfig{})
	c := r.dial(t)
	exchange(t, c, []byte("x"))
	p := await(t, made)
	first := errors.New("taken over")
	b := r.s.Batch()
	if !p.c.Send(b, []byte("bye")) {
		t.Fatal("not sent")
	}
	p.c.Close(first)
	r.s.ReleaseBatch(b)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { p.c.Close(errors.New("later")) })
	}
	wg.Wait()
	got := make([]byte, 3)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "bye" {
		t.Fatalf("%q, %v", got, err)
	}
	if n, err := c.Read(got); err == nil {
		t.Fatalf("%d bytes after the end", n)
	}
	if err := await(t, p.closed); err != first {
		t.Errorf("closed by %v", err)
	}
}

// testSlowReceiver: a peer that does not read stops Send at the limit and
// Drained continues, with nothing lost.
func testSlowReceiver(t *testing.T, k kind) {
	const limit, total, piece = 64 << 10, 8 << 20, 1000
	full := make(chan struct{}, 1)
	sent := 0
	more := func(p *probe, b *Batch) {
		buf := make([]byte, piece)
		for sent < total {
			for i := range buf {
				buf[i] = byte((sent + i) % 251)
			}
			if !p.c.Send(b, buf) {
				if p.c.Buffered() > limit+maxChunk {
					t.Errorf("%d bytes buffered", p.c.Buffered())
				}
				select {
				case full <- struct{}{}:
				default:
				}
				return
			}
			sent += piece
		}
	}
	handlers, _ := probes(t, &probe{
		feed:    func(p *probe, b *Batch, data []byte) (int, error) { more(p, b); return len(data), nil },
		drained: more,
	})
	c := start(t, k, Config{NewHandler: handlers, OutLimit: limit}, ListenerConfig{}).dial(t)
	if _, err := c.Write([]byte("go")); err != nil {
		t.Fatal(err)
	}
	await(t, full)
	buf := make([]byte, 32<<10)
	want := total + (piece-total%piece)%piece
	for got := 0; got < want; {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("after %d bytes: %v", got, err)
		}
		for i := range n {
			if buf[i] != byte((got+i)%251) {
				t.Fatalf("byte %d differs", got+i)
			}
		}
		got += n
	}
}

// testPause: a paused connection is not fed, but hears that there is room; Resume presents what was left.
func testPause(t *testing.T, k kind) {
	var mu sync.Mutex
	hold := true
	fed, drained := make(chan int, 1000), make(chan bool, 1)
	handlers, made := probes(t, &probe{drained: func(*probe, *Batch) { drained <- true }, feed: func(p *probe, b *Batch, data []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if hold {
			p.c.Pause()
			fed <- len(data)
			return 1, nil
		}
		p.c.Send(b, data)
		return len(data), nil
	}})
	c := start(t, k, Config{NewHandler: handlers}, ListenerConfig{}).dial(t)
	if _, err := c.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	p := await(t, made)
	await(t, fed)
	p.c.WantDrain()
	await(t, drained)
	mu.Lock()
	hold = false
	mu.Unlock()
	p.c.Resume()
	got := make([]byte, 2)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "bc" {
		t.Fatalf("%q, %v", got, err)
	}
	exchange(t, c, []byte("again"))
}

func testWriteTimeout(t *testing.T, k kind) {
	handlers, made := probes(t, &probe{feed: func(p *probe, b *Batch, data []byte) (int, error) {
		for p.c.Send(b, make([]byte, 10000)) {
		}
		return len(data), nil
	}})
	r := start(t, k, Config{NewHandler: handlers, OutLimit: 32 << 20, WriteTimeout: 300 * time.Millisecond}, ListenerConfig{})
	c := r.dial(t)
	if _, err := c.Write([]byte("go")); err != nil {
		t.Fatal(err)
	}
	if err := await(t, await(t, made).closed); !errors.Is(err, ErrWriteTimeout) {
		t.Errorf("closed by %v", err)
	}
	eventually(t, "the connection goes", func() bool { return r.ln.Connections() == 0 })
}

func testMany(t *testing.T, k kind) {
	n := 1000
	if k.tls {
		n = 100 // handshakes cost a millisecond
	}
	handlers, _ := probes(t, &probe{})
	r := start(t, k, Config{NewHandler: handlers}, ListenerConfig{})
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = r.dial(t)
	}
	for _, c := range conns {
		exchange(t, c, []byte("x"))
	}
	for _, c := range conns {
		c.Close()
	}
	eventually(t, "all connections go", func() bool { return r.ln.Connections() == 0 })
}

// testListenerClose: connections outlive their listener until they are closed.
func testListenerClose(t *testing.T, k kind) {
	handlers, made := probes(t, &probe{})
	r := start(t, k, Config{NewHandler: handlers}, ListenerConfig{})
	c := r.dial(t)
	exchange(t, c, []byte("before"))
	if err := r.ln.Close(); err != nil {
		t.Fatal(err)
	}
	exchange(t, c, []byte("after"))
	if k.network == "pipe" {
		if _, err := r.ln.Dial(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial: %v", err)
		}
	} else if c, err := net.Dial(r.ln.Addr().Network(), r.ln.Addr().String()); err == nil {
		c.Close()
		t.Error("the listener still accepts")
	}
	r.ln.CloseConnections(ErrListenerClosed)
	if err := await(t, await(t, made).closed); err != ErrListenerClosed {
		t.Errorf("closed by %v", err)
	}
}

func testServerStops(t *testing.T, k kind) {
	handlers, made := probes(t, &probe{})
	r := start(t, k, Config{NewHandler: handlers}, ListenerConfig{})
	c := r.dial(t)
	exchange(t, c, []byte("x"))
	p := await(t, made)
	go func() {
		io.Copy(io.Discard, c)
		c.Close()
	}()
	r.stop()
	if err := await(t, p.closed); err != ErrServerClosed {
		t.Errorf("closed by %v", err)
	}
	if len(p.closed) != 0 {
		t.Error("closed twice")
	}
}

func testMaxConnections(t *testing.T, k kind) {
	handlers, _ := probes(t, &probe{})
	r := start(t, k, Config{NewHandler: handlers}, ListenerConfig{MaxConnections: 2})
	first := r.dial(t)
	exchange(t, first, []byte("1"))
	exchange(t, r.dial(t), []byte("2"))
	if k.network == "pipe" {
		if c, err := r.ln.Dial(); err == nil {
			c.Close()
			t.Error("a third connection was accepted")
		}
	} else if n, err := r.raw(t).Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes for a third connection", n)
	}
	first.Close()
	eventually(t, "room", func() bool { return r.ln.Connections() == 1 })
	exchange(t, r.dial(t), []byte("3"))
}
