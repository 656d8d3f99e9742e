package bridge_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/bridge"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
	"github.com/nightjarmq/nightjar/packet"
)

// patience is how long anything may take that is certain to come.
const patience = 60 * time.Second

// node is a running broker and the address that it listens on.
type node struct {
	*broker.Broker
	addr string
}

func (n node) Tell(ctx context.Context, name string, payload []byte) error {
	return n.Publish(ctx, broker.Message{Topic: name, Payload: payload, Retain: true})
}

// runNode runs a broker until the test ends. set completes its configuration.
func runNode(t *testing.T, set ...func(c *broker.Config)) node {
	t.Helper()
	c := broker.Config{Listeners: []broker.Listener{{Address: "127.0.0.1:0", Anonymous: true}}, SysInterval: -1}
	for _, f := range set {
		f(&c)
	}
	b, err := broker.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { stop(); <-ended })
	return node{b, b.Addrs()[0].String()}
}

// runMosquitto runs Debian's broker until the test ends and gives its address. conf stands at the end of its configuration.
func runMosquitto(t *testing.T, conf string) string {
	t.Helper()
	return "127.0.0.1:" + mosquittotest.Start(t, conf).Port
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// dial connects, as soon as the server is there.
func dial(t *testing.T, addr string, o client.Options) *client.Client {
	t.Helper()
	ctx := deadline(t)
	for {
		c, err := client.Dial(ctx, "tcp://"+addr, o)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			return c
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// inbox subscribes and collects messages as text: topic, payload, "retained".
func inbox(t *testing.T, addr, filter string) chan string {
	t.Helper()
	got := make(chan string, 10_000)
	c := dial(t, addr, client.Options{})
	sub := client.To(filter, 2)
	sub.Filters[0].RetainAsPublished = true
	if _, err := c.Subscribe(deadline(t), sub, func(_ context.Context, m *packet.Publish) {
		s := string(m.Topic) + " " + string(m.Payload)
		if m.Retain {
			s += " retained"
		}
		got <- s
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func want(t *testing.T, got chan string, expected ...string) {
	t.Helper()
	for _, w := range expected {
		select {
		case s := <-got:
			if s != w {
				t.Fatalf("got %q, want %q", s, w)
			}
		case <-time.After(patience):
			t.Fatalf("no %q came", w)
		}
	}
}

func send(t *testing.T, addr, name, payload string, qos byte, retain bool) {
	t.Helper()
	c := dial(t, addr, client.Options{})
	defer c.Close()
	p := &packet.Publish{Topic: []byte(name), Payload: []byte(payload), QoS: qos, Retain: retain}
	if err := c.Publish(deadline(t), p); err != nil {
		t.Fatal(err)
	}
}

// join runs a bridge of n until the test ends, and returns when it has connected for the first time. It connects again
// after 10 ms. set completes the configuration.
func join(t *testing.T, n node, remote string, set func(c *bridge.Config)) (stop func()) {
	t.Helper()
	_, stop = joined(t, n, remote, set)
	return stop
}

// joined is join, and gives the bridge.
func joined(t *testing.T, n node, remote string, set func(c *bridge.Config)) (b *bridge.Bridge, stop func()) {
	t.Helper()
	connected := make(chan struct{}, 1000)
	c := bridge.Config{
		Name: "far", ID: n.addr, Servers: []bridge.Server{{Address: remote}}, RemoteClientID: "near." + n.addr, LocalClientID: "local." + remote,
		Private: true, Unsubscribe: true, OutgoingRetain: true, Restart: bridge.Backoff{Base: 10 * time.Millisecond},
		Connected: func() { connected <- struct{}{} },
	}
	set(&c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	b = bridge.New(c, n, slog.New(slog.NewTextHandler(t.Output(), nil)))
	go func() {
		defer close(ended)
		b.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	if c.Start != bridge.Lazy {
		select {
		case <-connected:
		case <-time.After(patience):
			t.Fatal("the bridge does not connect")
		}
	}
	return b, stop
}

// both crosses everything in both directions.
func both(qos byte) []bridge.Topic {
	return []bridge.Topic{{Pattern: "#", Out: true, In: true, QoS: qos}}
}

// crossing waits until the topics of a bridge cross in both directions.
func crossing(t *testing.T, one, other string) {
	t.Helper()
	for _, way := range [][2]string{{one, other}, {other, one}} {
		got := inbox(t, way[1], "probe/#")
		c := dial(t, way[0], client.Options{})
		ctx := deadline(t)
		for i := 0; ; i++ {
			if err := c.Publish(ctx, &packet.Publish{Topic: fmt.Appendf(nil, "probe/%s", way[0]), Payload: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-got:
			case <-time.After(20 * time.Millisecond):
				continue
			case <-ctx.Done():
				t.Fatal("nothing crosses")
			}
			break
		}
	}
}

// proxy passes connections on to a server, and cuts them.
type proxy struct {
	addr   string
	mu     sync.Mutex
	target string             // guarded by mu
	conns  map[net.Conn]bool  // guarded by mu
	limit  func() (bytes int) // after how many bytes a connection breaks; nil: never
}

func runProxy(t *testing.T, target string, limit func() int) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), target: target, conns: make(map[net.Conn]bool), limit: limit}
	t.Cleanup(func() { l.Close(); p.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			target := p.target
			p.mu.Unlock()
			s, err := net.Dial("tcp", target)
			if err != nil {
				c.Close()
				continue
			}
			p.mu.Lock()
			p.conns[c], p.conns[s] = true, true
			p.mu.Unlock()
			go p.pass(c, s)
			go p.pass(s, c)
		}
	}()
	return p
}

func (p *proxy) pass(from, to net.Conn) {
	if p.limit != nil {
		if n := p.limit(); n > 0 {
			io.CopyN(to, from, int64(n))
			from.Close()
			to.Close()
			return
		}
	}
	io.Copy(to, from)
	from.Close()
	to.Close()
}

// aim makes new connections go elsewhere, and breaks all others.
func (p *proxy) aim(target string) {
	p.mu.Lock()
	p.target = target
	p.mu.Unlock()
	p.cut()
}

// cut breaks all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}
