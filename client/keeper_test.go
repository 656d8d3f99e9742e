package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
	"github.com/nightjarmq/nightjar/packet"
)

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
		o.Inflight, o.ReceiveMaximum = 20, 20 // or the link would break before any acknowledgement comes through
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
				<-time.After(e.Pause) // the bubble's clock, not ours
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

// A handler that would wait for its own Keeper is told so.
func TestKeeperInsideHandler(t *testing.T) {
	url, _ := nightjar(t, broker.Config{})
	k, _, _ := keeper(t, client.KeeperOptions{Servers: []string{url}})
	requester, err := client.NewRequester(deadline(t), k, "")
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 5)
	_, err = k.Subscribe(deadline(t), client.To("h", 1), func(ctx context.Context, m *packet.Publish) {
		_, err := requester.Request(ctx, &packet.Publish{Topic: []byte("x"), QoS: 1})
		errs <- err
		errs <- k.Flush(ctx)
		errs <- k.Publish(ctx, &packet.Publish{Topic: []byte("x"), QoS: 1})
		_, err = k.Subscribe(ctx, client.To("x", 1), nil)
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
	for i, want := range []error{client.ErrInHandler, client.ErrInHandler, client.ErrInHandler, client.ErrInHandler, nil} {
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
