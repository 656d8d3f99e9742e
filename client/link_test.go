package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
	"github.com/nightjarmq/nightjar/packet"
)

// nightjar runs a broker in this process until the test ends or stop is called, and gives its URL.
func nightjar(t testing.TB, c broker.Config) (url string, stop func()) {
	t.Helper()
	c.Listeners = []broker.Listener{{Address: "127.0.0.1:0", Anonymous: true}}
	b, err := broker.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return "mqtt://" + b.Addrs()[0].String(), stop
}

// link is a network that can be cut. Its connect is for Options.Dial.
type link struct {
	mu    sync.Mutex
	to    string     // guarded by mu: where it leads; "": where the caller wants
	down  bool       // guarded by mu
	limit int        // guarded by mu: bytes, in both directions, after which a connection is cut; 0: none
	conns []net.Conn // guarded by mu
}

func (l *link) connect(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	to, down, limit := l.to, l.down, l.limit
	l.mu.Unlock()
	if down {
		return nil, errors.New("the link is down")
	}
	if to != "" {
		address = strings.TrimPrefix(to, "mqtt://")
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		conn.Close()
		return nil, errors.New("the link is down")
	}
	l.conns = append(l.conns, conn)
	if limit > 0 {
		return &limited{Conn: conn, left: limit}, nil
	}
	return conn, nil
}

// set cuts every connection and says what becomes of new ones.
func (l *link) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

func (l *link) cut()  { l.set(func() { l.down = true }) }
func (l *link) mend() { l.set(func() { l.down = false }) }

// limited dies in the middle of a byte stream.
type limited struct {
	net.Conn
	mu   sync.Mutex
	left int // guarded by mu
}

func (c *limited) take(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = min(n, c.left)
	c.left -= n
	return n
}

func (c *limited) Write(b []byte) (int, error) {
	n := c.take(len(b))
	m, err := c.Conn.Write(b[:n])
	if err == nil && n < len(b) {
		c.Conn.Close()
		err = net.ErrClosed
	}
	return m, err
}

func (c *limited) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if m := c.take(n); m < n {
		c.Conn.Close()
		return m, net.ErrClosed
	}
	return n, err
}

// keeper makes a Keeper and runs it until stop is called or the test ends. Events go to a channel.
func keeper(t testing.TB, o client.KeeperOptions) (k *client.Keeper, events <-chan client.Event, stop func() error) {
	t.Helper()
	told := make(chan client.Event, 100_000)
	o.OnEvent = func(e client.Event) {
		select {
		case told <- e:
		default:
		}
	}
	if o.MinPause == 0 {
		o.MinPause, o.MaxPause = time.Millisecond, 10*time.Millisecond
	}
	k, err := client.NewKeeper(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { stop() })
	return k, told, stop
}

// event waits for one of a kind.
func event(t testing.TB, events <-chan client.Event, kind client.EventKind) client.Event {
	t.Helper()
	for {
		select {
		case e := <-events:
			if e.Kind == kind {
				return e
			}
		case <-time.After(time.Minute):
			t.Fatalf("no event %q", kind)
		}
	}
}

// servers runs a test against both brokers. Few messages are under way to one client, or a link that breaks after some
// bytes would always break before the first acknowledgement.
func servers(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("nightjar", func(t *testing.T) {
		url, _ := nightjar(t, broker.Config{MaxInflight: 20})
		test(t, url)
	})
	t.Run("mosquitto", func(t *testing.T) {
		test(t, mosquittotest.Start(t, "max_queued_messages 0\nmax_inflight_messages 20\n").URL)
	})
}

// numbers collects payloads that are numbers and checks them against 0 to count-1.
type numbers struct {
	mu   sync.Mutex
	list []int // guarded by mu
	more chan struct{}
}

func newNumbers() *numbers { return &numbers{more: make(chan struct{}, 1)} }

func (n *numbers) handle(_ context.Context, m *packet.Publish) {
	var i int
	fmt.Sscan(string(m.Payload), &i)
	n.mu.Lock()
	n.list = append(n.list, i)
	n.mu.Unlock()
	select {
	case n.more <- struct{}{}:
	default:
	}
}

// await returns the numbers when last has come.
func (n *numbers) await(t testing.TB, last int) []int {
	t.Helper()
	timeout := time.After(60 * time.Second)
	for {
		n.mu.Lock()
		list := slices.Clone(n.list)
		n.mu.Unlock()
		if slices.Contains(list, last) {
			return list
		}
		select {
		case <-n.more:
		case <-timeout:
			t.Fatalf("%d did not come; %d messages, the last %v", last, len(list), list[max(0, len(list)-5):])
		}
	}
}

// check demands every number once in order, or at least once where repeated is allowed, first occurrences in order.
func check(t testing.TB, list []int, count int, repeated bool) {
	t.Helper()
	next := 0
	for _, i := range list {
		if i == next {
			next++
		} else if !repeated || i > next {
			t.Fatalf("%d where %d was expected, in %v", i, next, list)
		}
	}
	if next != count {
		t.Fatalf("%d of %d numbers", next, count)
	}
}
