package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv("TRANSPORT_CHILD"); mode != "" {
		child(mode)
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must happen.
const patience = time.Minute

// kind is one way to reach a server. The whole suite runs over each.
type kind struct {
	name       string
	network    string
	tls, ws    bool
	goroutines bool
}

var kinds = []kind{
	{name: "tcp", network: "tcp"},
	{name: "unix", network: "unix"},
	{name: "ws", network: "tcp", ws: true},
	{name: "tls", network: "tcp", tls: true},
	{name: "wss", network: "tcp", tls: true, ws: true},
	{name: "tcp-goroutines", network: "tcp", goroutines: true},
	{name: "ws-goroutines", network: "tcp", ws: true, goroutines: true},
	{name: "tls-goroutines", network: "tcp", tls: true, goroutines: true},
	{name: "wss-goroutines", network: "tcp", tls: true, ws: true, goroutines: true},
	{name: "pipe", network: "pipe"},
	{name: "tls-pipe", network: "pipe", tls: true},
}

// rig is a running server with one listener.
type rig struct {
	kind
	s    *Server
	ln   *Listener
	addr string // of a server in another process, instead of ln
	stop func() // ends Run and waits for it
}

// start runs a server for the time of the test.
func start(t testing.TB, k kind, cfg Config, lc ListenerConfig) *rig {
	t.Helper()
	cfg.Goroutines = k.goroutines
	if cfg.Loops == 0 {
		cfg.Loops = 2
	}
	s := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	lc.Network, lc.WebSocket = k.network, k.ws
	switch k.network {
	case "tcp":
		lc.Address = "127.0.0.1:0"
	case "unix":
		lc.Address = filepath.Join(t.TempDir(), "socket")
	}
	if k.tls {
		conf := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
		lc.TLS = func() *tls.Config { return conf }
	}
	if k.ws && lc.Subprotocols == nil {
		lc.Subprotocols = []string{"mqtt", "mqttv3.1"}
	}
	ln, err := s.Listen(lc)
	if err != nil {
		t.Fatal(err)
	}
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := await(t, done); err != nil {
			t.Error(err)
		}
		if n := ln.Connections(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
	t.Cleanup(stop)
	return &rig{kind: k, s: s, ln: ln, stop: stop}
}

// raw opens the connection below TLS and WebSocket.
func (r *rig) raw(t testing.TB) net.Conn {
	t.Helper()
	var c net.Conn
	var err error
	if r.network == "pipe" {
		c, err = r.ln.Dial()
	} else if r.addr != "" {
		c, err = net.Dial(r.network, r.addr)
	} else {
		c, err = net.Dial(r.ln.Addr().Network(), r.ln.Addr().String())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// dial opens a connection that carries plain bytes over the kind's layers.
func (r *rig) dial(t testing.TB) net.Conn {
	t.Helper()
	c := r.raw(t)
	if r.tls {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	if r.ws {
		d := ws.Dialer{Protocols: []string{"mqtt"}, NetDial: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
		_, _, hs, err := d.Dial(context.Background(), "ws://host/mqtt")
		if err != nil {
			t.Fatal(err)
		}
		if hs.Protocol != "mqtt" {
			t.Fatalf("sub-protocol %q", hs.Protocol)
		}
		c = &wsClient{Conn: c}
	}
	return c
}

// wsClient makes a stream of the frames of a WebSocket client.
type wsClient struct {
	net.Conn
	rest []byte
}

func (c *wsClient) Write(p []byte) (int, error) {
	return len(p), wsutil.WriteClientBinary(c.Conn, p)
}

func (c *wsClient) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		data, err := wsutil.ReadServerBinary(c.Conn)
		if err != nil {
			return 0, err
		}
		c.rest = data
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *wsClient) CloseWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// await returns the next value of ch.
func await[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing happened")
		panic("unreachable")
	}
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("never:", what)
		}
	}
}

func certificate(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// probe is a handler that tells a test what happens to it. Nil functions echo
// and ignore.
type probe struct {
	c       *Conn
	feed    func(p *probe, b *Batch, data []byte) (int, error)
	drained func(p *probe, b *Batch)
	active  atomic.Int32 // calls now: must never exceed one
	closed  chan error
	t       testing.TB
}

func (p *probe) enter() func() {
	if p.active.Add(1) != 1 {
		p.t.Error("two calls at a time")
	}
	return func() { p.active.Add(-1) }
}

func (p *probe) Feed(b *Batch, data []byte) (int, error) {
	defer p.enter()()
	if p.feed != nil {
		return p.feed(p, b, data)
	}
	if !p.c.Send(b, data) {
		return 0, nil
	}
	return len(data), nil
}

func (p *probe) Drained(b *Batch) {
	defer p.enter()()
	if p.drained != nil {
		p.drained(p, b)
	}
}

func (p *probe) Closed(b *Batch, err error) {
	defer p.enter()()
	p.closed <- err
	if p.c.Send(b, []byte("too late")) {
		p.t.Error("Send after Closed")
	}
}

// probes makes a NewHandler that reports every probe it makes.
func probes(t testing.TB, like *probe) (func(*Conn, *Batch) Handler, <-chan *probe) {
	made := make(chan *probe, 4096)
	return func(c *Conn, b *Batch) Handler {
		p := &probe{c: c, feed: like.feed, drained: like.drained, closed: make(chan error, 2), t: t}
		made <- p
		return p
	}, made
}
