package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/cli/mosquittotest"
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
		case <-time.After(20 * time.Second):
			t.Fatalf("no event %q", kind)
		}
	}
}

func servers(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("nightjar", func(t *testing.T) {
		url, _ := nightjar(t, broker.Config{})
		test(t, url)
	})
	t.Run("mosquitto", func(t *testing.T) {
		test(t, mosquittotest.Start(t, "max_queued_messages 0\nmax_inflight_messages 100\n").URL)
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

// Over links that break after some bytes, at both ends, QoS 1 loses nothing and QoS 2 arrives exactly once, in order
// [MQTT-4.3.2-1], [MQTT-4.3.3-1], [MQTT-4.4.0-1], [MQTT-4.6.0-1].
func TestKeeperOverBreakingLinks(t *testing.T) {
	servers(t, func(t *testing.T, url string) {
		for _, v := range []packet.Version{packet.V311, packet.V5} {
			for qos := byte(1); qos <= 2; qos++ {
				t.Run(fmt.Sprintf("%v qos%d", v, qos), func(t *testing.T) { breakingLinks(t, url, v, qos) })
			}
		}
	})
}

func breakingLinks(t *testing.T, url string, v packet.Version, qos byte) {
	const count = 400
	out, in := &link{limit: 1000}, &link{limit: 1300}
	options := func(id string, l *link) client.KeeperOptions {
		o := client.KeeperOptions{Servers: []string{url}}
		o.Version, o.ClientID, o.Resume, o.Dial = v, fmt.Sprint(id, v, qos), true, l.connect
		o.Inflight = 20 // or the link would break before any acknowledgement comes through
		o.SessionExpiry = packet.Some[uint32](100)
		return o
	}
	got := newNumbers()
	receiver, _, _ := keeper(t, options("receiver", in))
	if _, err := receiver.Subscribe(deadline(t), client.To("n/+", qos), got.handle); err != nil {
		t.Fatal(err)
	}
	sender, events, _ := keeper(t, options("sender", out))
	for i := range count {
		m := &packet.Publish{Topic: []byte("n/1"), QoS: qos, Payload: fmt.Append(nil, i)}
		if err := sender.PublishAsync(deadline(t), m, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := sender.Flush(deadline(t)); err != nil {
		t.Fatal(err)
	}
	check(t, got.await(t, count-1), count, qos == 1)
	breaks := 0
	for len(events) > 0 {
		if e := <-events; e.Kind == client.Disconnected {
			breaks++
		}
	}
	if breaks < 3 {
		t.Error("the link broke only", breaks, "times")
	}
}

// What is published without a connection waits, in order and with its callbacks, and leaves when there is one.
func TestKeeperQueuesWhileOffline(t *testing.T) {
	url, _ := nightjar(t, broker.Config{})
	sub := dial(t, url, client.Options{})
	got := receive(t, sub, "q/#", 2)
	l := &link{down: true}
	o := client.KeeperOptions{Servers: []string{url}}
	o.Dial = l.connect
	k, events, _ := keeper(t, o)
	acked := make(chan error, 3)
	for qos := range byte(3) {
		m := &packet.Publish{Topic: []byte("q/1"), QoS: qos, Payload: fmt.Append(nil, qos)}
		if err := k.PublishAsync(deadline(t), m, func(_ packet.Ack, err error) { acked <- err }); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(deadline(t))
	cancel()
	if err := k.Publish(ctx, &packet.Publish{Topic: []byte("q/2"), QoS: 1}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	event(t, events, client.ConnectFailed)
	if n := k.Pending(); n != 4 {
		t.Error("pending:", n)
	}
	l.mend()
	for qos := range 3 {
		want(t, got, fmt.Sprintf("q/1 %d false %d", qos, qos))
		if err := <-acked; err != nil {
			t.Error(err)
		}
	}
	want(t, got, "q/2 1 false ")
	if err := k.Flush(deadline(t)); err != nil || k.Pending() != 0 {
		t.Error(err, k.Pending())
	}
	if err := k.Publish(deadline(t), &packet.Publish{Topic: []byte("q/3"), QoS: 2}); err != nil {
		t.Error(err)
	}
	want(t, got, "q/3 2 false ")
}

// A full queue blocks, refuses or drops, as chosen, and says so.
func TestKeeperQueueFull(t *testing.T) {
	message := func(i int) *packet.Publish {
		return &packet.Publish{Topic: []byte("full"), QoS: 1, Payload: fmt.Append(nil, i)}
	}
	offline := func(w client.WhenFull, q client.Queue) *client.Keeper {
		q.WhenFull = w
		o := client.KeeperOptions{Servers: []string{"mqtt://x"}, Queue: q}
		o.Dial = (&link{down: true}).connect
		k, _, _ := keeper(t, o)
		return k
	}
	k := offline(client.Refuse, client.Queue{MaxMessages: 2})
	for i, want := range []error{nil, nil, client.ErrQueueFull} {
		if err := k.PublishAsync(deadline(t), message(i), nil); !errors.Is(err, want) {
			t.Error(i, err)
		}
	}
	k = offline(client.Refuse, client.Queue{MaxBytes: 1000})
	big := &packet.Publish{Topic: []byte("full"), QoS: 1, Payload: make([]byte, 2000)}
	for i, want := range []error{nil, client.ErrQueueFull} { // an empty queue takes one of any size
		if err := k.PublishAsync(deadline(t), big, nil); !errors.Is(err, want) {
			t.Error("bytes", i, err)
		}
	}
	k = offline(client.DropOldest, client.Queue{MaxMessages: 2})
	fate := make(chan string, 3)
	for i := range 3 {
		err := k.PublishAsync(deadline(t), message(i), func(_ packet.Ack, err error) { fate <- fmt.Sprint(i, " ", err) })
		if err != nil {
			t.Error(err)
		}
	}
	want(t, fate, "0 "+client.ErrDropped.Error())
	k = offline(client.Block, client.Queue{MaxMessages: 1})
	if err := k.PublishAsync(deadline(t), message(0), nil); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(deadline(t))
	blocked := make(chan error, 1)
	go func() { blocked <- k.PublishAsync(ctx, message(1), nil) }()
	cancel()
	if err := <-blocked; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A server that has lost the session gets the subscriptions anew, before what was queued, and the handlers go on. One that
// has kept it is asked for nothing.
func TestKeeperResubscribes(t *testing.T) {
	first, stopFirst := nightjar(t, broker.Config{})
	second, _ := nightjar(t, broker.Config{})
	l := &link{to: first}
	o := client.KeeperOptions{Servers: []string{first}}
	o.Dial = l.connect
	var mu sync.Mutex
	subscribes := 0
	o.Trace = func(sent bool, p packet.Packet) {
		if s, ok := p.(*packet.Subscribe); ok && sent {
			mu.Lock()
			subscribes += len(s.Filters)
			mu.Unlock()
		}
	}
	k, events, stop := keeper(t, o)
	got := make(chan string, 10)
	for _, f := range []string{"a/+", "b", "c"} {
		_, err := k.Subscribe(deadline(t), client.To(f, 2), func(_ context.Context, m *packet.Publish) {
			got <- f + " " + string(m.Payload)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.Unsubscribe(deadline(t), &packet.Unsubscribe{Filters: []string{"c"}}); err != nil {
		t.Fatal(err)
	}
	say := func(name, text string) {
		t.Helper()
		if err := k.Publish(deadline(t), &packet.Publish{Topic: []byte(name), QoS: 2, Payload: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	say("a/1", "one")
	want(t, got, "a/+ one")
	event(t, events, client.Connected)
	l.set(func() {}) // cut: the session is there still
	if e := event(t, events, client.Connected); !e.Connack.SessionPresent {
		t.Error("the session should be present")
	}
	say("b", "two")
	want(t, got, "b two")
	l.set(func() { l.to = second })
	stopFirst()
	say("c", "nobody")
	say("a/2", "three")
	want(t, got, "a/+ three")
	mu.Lock()
	if subscribes != 5 { // three at first, two anew
		t.Error("filters in SUBSCRIBE:", subscribes)
	}
	mu.Unlock()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := k.Publish(deadline(t), &packet.Publish{Topic: []byte("late"), QoS: 1}); !errors.Is(err, client.ErrClosed) {
		t.Error(err)
	}
	if _, err := k.Subscribe(deadline(t), client.To("late", 1), nil); !errors.Is(err, client.ErrClosed) {
		t.Error(err)
	}
}

// The servers are tried in turn; another one that a server names is told and not visited; a refusal is no reason to stop
// if it may be temporary.
func TestKeeperSeveralServers(t *testing.T) {
	good, _ := nightjar(t, broker.Config{})
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	go func() {
		for {
			conn, err := listen.Accept()
			if err != nil {
				return
			}
			p := &peer{t: t, conn: conn, v: packet.V5}
			p.expect("CONNECT")
			p.send(&packet.Connack{Code: packet.UseAnotherServer, ServerReference: packet.Some("elsewhere:1883")})
			conn.Close()
		}
	}()
	moved := "mqtt://user:secret@" + listen.Addr().String()
	_, events, _ := keeper(t, client.KeeperOptions{Servers: []string{"mqtt://127.0.0.1:1", moved, good}})
	e := event(t, events, client.ConnectFailed)
	if e.Server != "mqtt://127.0.0.1:1" || e.Err == nil {
		t.Error(e)
	}
	e = event(t, events, client.ConnectFailed)
	if client.ServerReference(e.Err) != "elsewhere:1883" || strings.Contains(e.LogValue().String(), "secret") {
		t.Error(e)
	}
	if !strings.Contains(e.LogValue().String(), "elsewhere:1883") {
		t.Error(e.LogValue())
	}
	if e = event(t, events, client.Connected); e.Server != good {
		t.Error(e)
	}
}

// Run ends when going on would be wrong: refused credentials at the start, or a session that another client took over.
func TestKeeperGivesUp(t *testing.T) {
	b := mosquittotest.Start(t, "allow_anonymous false\n")
	k, err := client.NewKeeper(client.KeeperOptions{Servers: []string{b.URL}})
	if err != nil {
		t.Fatal(err)
	}
	var refused *client.Error
	if err := k.Run(deadline(t)); !errors.As(err, &refused) || refused.Code != packet.NotAuthorized {
		t.Error(err)
	}
	if err := k.Run(deadline(t)); err == nil {
		t.Error("Run runs twice")
	}
	url, _ := nightjar(t, broker.Config{})
	o := client.KeeperOptions{Servers: []string{url}}
	o.ClientID = "twin"
	k, err = client.NewKeeper(o)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- k.Run(deadline(t)) }()
	if err := k.Publish(deadline(t), &packet.Publish{Topic: []byte("here"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	dial(t, url, client.Options{ClientID: "twin"})
	if err := <-ended; !errors.As(err, &refused) || refused.Code != packet.SessionTakenOver {
		t.Error(err)
	}
	<-k.Done()
}

// Pauses double from MinPause to MaxPause, shortened by up to a half at random, and end at once with the context.
func TestKeeperPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := client.KeeperOptions{Servers: []string{"mqtt://a", "mqtt://b"}, MinPause: time.Second, MaxPause: 10 * time.Second}
		o.Dial = (&link{down: true}).connect
		_, events, stop := keeper(t, o)
		longest := time.Second
		distinct := make(map[time.Duration]bool)
		for range 8 {
			for range 2 {
				if e := <-events; e.Kind != client.ConnectFailed {
					t.Error(e)
				}
			}
			before := time.Now()
			e := <-events
			if e.Kind != client.Paused || e.Pause > longest || e.Pause < longest/2 {
				t.Error(e, longest)
			}
			distinct[e.Pause] = true
			longest = min(2*longest, 10*time.Second)
			if len(distinct) < 8 {
				synctest.Wait()
				time.Sleep(e.Pause) // the bubble's clock, not ours
				synctest.Wait()
				if d := time.Since(before); d != e.Pause {
					t.Error(d)
				}
			}
		}
		if len(distinct) < 6 {
			t.Error("no jitter:", distinct)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A message whose time is over is not sent, and what waited is sent with the time that is left (5.0 section 3.3.2.3.3).
func TestKeeperMessageExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		open := false
		near, far := net.Pipe()
		o := client.KeeperOptions{Servers: []string{"mqtt://x"}, MinPause: time.Second, MaxPause: time.Second}
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if !open {
				return nil, errors.New("not yet")
			}
			return near, nil
		}
		o.KeepAlive = -1
		k, _, stop := keeper(t, o)
		fate := make(chan error, 2)
		for _, seconds := range []uint32{30, 100} {
			m := &packet.Publish{Topic: []byte("old"), QoS: 1}
			m.MessageExpiry = packet.Some(seconds)
			if err := k.PublishAsync(t.Context(), m, func(_ packet.Ack, err error) { fate <- err }); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(60*time.Second + time.Millisecond) // the bubble's clock
		mu.Lock()
		open = true
		mu.Unlock()
		p := &peer{t: t, conn: far, v: packet.V5}
		p.expect("CONNECT")
		p.send(ok())
		m := p.read().(*packet.Publish)
		if left := m.MessageExpiry.Value; left < 38 || left > 40 {
			t.Error("left:", left)
		}
		p.send(&packet.Puback{PacketID: m.PacketID})
		if err := <-fate; !errors.Is(err, client.ErrExpired) {
			t.Error(err)
		}
		if err := <-fate; err != nil {
			t.Error(err)
		}
		far.Close()
		stop()
	})
}

// A handler that would wait for its own Keeper is told so.
func TestKeeperInsideHandler(t *testing.T) {
	url, _ := nightjar(t, broker.Config{})
	k, _, _ := keeper(t, client.KeeperOptions{Servers: []string{url}})
	errs := make(chan error, 3)
	_, err := k.Subscribe(deadline(t), client.To("h", 1), func(ctx context.Context, m *packet.Publish) {
		errs <- k.Publish(ctx, &packet.Publish{Topic: []byte("x"), QoS: 1})
		_, err := k.Subscribe(ctx, client.To("x", 1), nil)
		errs <- err
		if err := k.PublishAsync(ctx, &packet.Publish{Topic: []byte("x"), QoS: 1}, func(_ packet.Ack, err error) { errs <- err }); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Publish(deadline(t), &packet.Publish{Topic: []byte("h"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{client.ErrInHandler, client.ErrInHandler, nil} {
		if err := <-errs; !errors.Is(err, want) {
			t.Error(i, err)
		}
	}
}

// Options that cannot work are refused before anything runs.
func TestKeeperOptions(t *testing.T) {
	for says, o := range map[string]client.KeeperOptions{
		"no server":      {},
		"scheme":         {Servers: []string{"http://x"}},
		"needs a Client": {Servers: []string{"mqtt://x"}, Options: client.Options{Resume: true}},
		"Session nil":    {Servers: []string{"mqtt://x"}, Options: client.Options{Session: new(client.Session)}},
		"journal":        {Servers: []string{"mqtt://x"}, Queue: client.Queue{Journal: filepath.Join(t.TempDir(), "no", "where")}},
	} {
		if _, err := client.NewKeeper(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	k, _, _ := keeper(t, client.KeeperOptions{Servers: []string{"mqtt://127.0.0.1:1"}})
	for name, m := range map[string]*packet.Publish{
		"alias":    {Topic: []byte("a"), PublishProperties: alias(1)},
		"wildcard": {Topic: []byte("a/#")},
		"qos":      {Topic: []byte("a"), QoS: 3},
		"property": {Topic: []byte("a"), PublishProperties: packet.PublishProperties{ContentType: []byte{0xff}}},
	} {
		var e *client.Error
		if err := k.PublishAsync(deadline(t), m, nil); !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if k.Pending() != 0 {
		t.Error("pending:", k.Pending())
	}
}

// A connected Keeper publishes QoS 0 as a Client does: without allocating.
func TestKeeperAllocations(t *testing.T) {
	near, far := net.Pipe()
	o := client.KeeperOptions{Servers: []string{"mqtt://x"}}
	o.Dial = func(context.Context, string, string) (net.Conn, error) { return near, nil }
	k, _, stop := keeper(t, o)
	p := &peer{t: t, conn: far, v: packet.V5}
	p.expect("CONNECT")
	p.send(ok())
	if err := k.PublishAsync(deadline(t), message(0, 1, "a"), nil); err != nil {
		t.Fatal(err)
	}
	p.expect("PUBLISH 1 q1 a p") // now messages go directly
	p.send(&packet.Puback{PacketID: 1})
	if err := k.Flush(deadline(t)); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		b := make([]byte, 64<<10)
		for {
			if _, err := far.Read(b); err != nil {
				return
			}
		}
	}()
	ctx, m := context.Background(), message(0, 0, "a/b")
	for range 20000 {
		k.Publish(ctx, m)
	}
	if n := testing.AllocsPerRun(20000, func() { k.Publish(ctx, m) }); n > 0 {
		t.Error("allocations:", n)
	}
	far.Close()
	<-drained
	stop()
}
