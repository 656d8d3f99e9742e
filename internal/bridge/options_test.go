package bridge_test

import (
	"net"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/bridge"
	"github.com/nightjarmq/nightjar/packet"
)

const state = "$SYS/broker/bridge/far/state"

// closed is an address where nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A bridge that starts once ends with its connection.
func TestOnce(t *testing.T) {
	here, there := runNode(t), runNode(t)
	got := inbox(t, here.addr, state)
	p := runProxy(t, there.addr, nil)
	join(t, here, p.addr, func(c *bridge.Config) { c.Topics, c.Start = both(1), bridge.Once })
	await(t, got, state+" connected retained")
	p.cut()
	await(t, got, state+" ended retained")
}

// Of several servers the first that answers is used. After a loss the first is preferred, or with round-robin the same one stays.
func TestSeveralServers(t *testing.T) {
	for _, alike := range []bool{false, true} {
		here, first, second := runNode(t), runNode(t), runNode(t)
		p := runProxy(t, closed(t), nil)
		q := runProxy(t, second.addr, nil)
		got, one, two := inbox(t, here.addr, state), inbox(t, first.addr, "x"), inbox(t, second.addr, "x")
		connected := make(chan struct{}, 100)
		join(t, here, p.addr, func(c *bridge.Config) {
			told := c.Connected
			c.Connected = func() { told(); connected <- struct{}{} }
			c.Servers = []bridge.Server{{Address: p.addr}, {Address: q.addr}}
			c.Topics, c.RoundRobin = []bridge.Topic{{Pattern: "x", Out: true, QoS: 1}}, alike
		})
		<-connected
		await(t, got, state+" connected retained")
		send(t, here.addr, "x", "a", 1, false)
		want(t, two, "x a")
		p.mu.Lock()
		p.target = first.addr
		p.mu.Unlock()
		q.cut()
		select {
		case <-connected:
		case <-time.After(patience):
			t.Fatal("the bridge does not connect again")
		}
		send(t, here.addr, "x", "b", 1, false)
		if alike {
			await(t, two, "x b") // the first may come again before
		} else {
			await(t, one, "x b")
		}
	}
}

// Notifications may stay at home.
func TestNotificationsLocalOnly(t *testing.T) {
	here, there := runNode(t), runNode(t)
	const name = "$SYS/broker/connection/me/state"
	near, far := inbox(t, here.addr, name), inbox(t, there.addr, "#")
	remote := inbox(t, there.addr, name)
	stop := join(t, here, there.addr, func(c *bridge.Config) {
		c.Topics, c.Notify, c.NotifyLocal, c.RemoteClientID = both(1), true, true, "me"
	})
	want(t, near, name+" 0 retained", name+" 1 retained")
	send(t, here.addr, "x", "after it", 1, false)
	want(t, far, "x after it")
	stop()
	want(t, near, name+" 0 retained")
	send(t, there.addr, name, "probe", 1, false)
	want(t, remote, name+" probe")
}

// Without OutgoingRetain messages arrive as not retained, and nothing stays there.
func TestOutgoingRetain(t *testing.T) {
	for _, on := range []bool{true, false} {
		here, there := runNode(t), runNode(t)
		got := inbox(t, there.addr, "x")
		join(t, here, there.addr, func(c *bridge.Config) { c.Topics, c.OutgoingRetain = both(1), on })
		send(t, here.addr, "x", "1", 1, true)
		if on {
			want(t, got, "x 1 retained")
		} else {
			want(t, got, "x 1")
		}
	}
}

// What an earlier configuration subscribed to at the remote is given up, unless that is not wanted [MQTT-3.10.4-1].
func TestUnsubscribe(t *testing.T) {
	for _, give := range []bool{true, false} {
		here, there := runNode(t), runNode(t)
		got := inbox(t, here.addr, "#")
		old := dial(t, there.addr, client.Options{ClientID: "near." + here.addr, SessionExpiry: packet.Some[uint32](1000)})
		if _, err := old.Subscribe(deadline(t), client.To("a/#", 1), nil); err != nil {
			t.Fatal(err)
		}
		old.Close()
		join(t, here, there.addr, func(c *bridge.Config) {
			c.Unsubscribe = give
			c.Topics = []bridge.Topic{{Pattern: "a/#", Out: true, QoS: 1}, {Pattern: "b/#", In: true, QoS: 1}}
		})
		crossingIn(t, there.addr, here.addr, "b/probe")
		subscribed := false
		for _, s := range there.Subscriptions() {
			subscribed = subscribed || s.Filter == "a/#"
		}
		if subscribed == give {
			t.Errorf("with Unsubscribe %v the subscription is there: %v", give, subscribed)
		}
		send(t, there.addr, "b/last", "", 1, false)
		await(t, got, "b/last ")
	}
}

// crossingIn waits until a topic comes from one broker to the other.
func crossingIn(t *testing.T, from, to, name string) {
	t.Helper()
	got := inbox(t, to, name)
	for ctx := deadline(t); ; {
		send(t, from, name, "", 1, false)
		select {
		case <-got:
			return
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("nothing crosses")
		}
	}
}

// With a clean local session nothing waits here while there is no connection.
func TestLocalCleanStart(t *testing.T) {
	here, there := runNode(t), runNode(t)
	got, at := inbox(t, there.addr, "x"), inbox(t, here.addr, state)
	p := runProxy(t, there.addr, nil)
	connected := make(chan struct{}, 100)
	join(t, here, p.addr, func(c *bridge.Config) {
		told := c.Connected
		c.Connected = func() { told(); connected <- struct{}{} }
		c.Topics, c.LocalCleanStart, c.LocalClientID = both(1), true, "mine"
	})
	<-connected
	await(t, at, state+" connected retained")
	crossingIn(t, here.addr, there.addr, "probe")
	p.mu.Lock()
	p.target = closed(t)
	p.mu.Unlock()
	p.cut()
	await(t, at, state+" disconnected retained")
	send(t, here.addr, "x", "lost", 1, false)
	p.mu.Lock()
	p.target = there.addr
	p.mu.Unlock()
	select {
	case <-connected:
	case <-time.After(patience):
		t.Fatal("the bridge does not connect again")
	}
	crossingIn(t, here.addr, there.addr, "probe")
	send(t, here.addr, "x", "new", 1, false)
	want(t, got, "x new")
}
