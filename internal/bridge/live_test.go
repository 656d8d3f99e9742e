package bridge_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/bridge"
	"github.com/nightjarmq/nightjar/packet"
)

// liveFirst is how a bridge's messages wait whose local session is "mine".
func liveFirst(q broker.Queue) func(c *broker.Config) {
	q.LiveFirst = true
	return func(c *broker.Config) { c.Queues = map[string]broker.Queue{"mine": q} }
}

// outage joins n with remote, and cuts the link. back restores it; both return when that is known.
func outage(t *testing.T, n node, remote string, set func(c *bridge.Config)) (cut, back func()) {
	t.Helper()
	p, at := runProxy(t, remote, nil), inbox(t, n.addr, state)
	join(t, n, p.addr, func(c *bridge.Config) {
		c.LocalClientID, c.Topics = "mine", []bridge.Topic{{Pattern: "x/#", Out: true, QoS: 2}}
		set(c)
	})
	await(t, at, state+" connected retained")
	nobody := closed(t)
	cut = func() {
		t.Helper()
		p.aim(nobody)
		await(t, at, state+" disconnected retained")
	}
	back = func() {
		t.Helper()
		p.aim(remote)
		await(t, at, state+" connected retained")
	}
	cut()
	return cut, back
}

// After an outage a live message overtakes those that have waited, which come at their rate, and in order. When the link
// breaks again in the midst of that, what has not come is what has waited. Nothing is lost, and with QoS 2 nothing doubled.
func TestLiveFirst(t *testing.T) {
	eachRemote(t, func(t *testing.T, remote string, v packet.Version) {
		const messages = 20
		here := runNode(t, liveFirst(broker.Queue{PastRate: 1}))
		got := inbox(t, remote, "x/#")
		cut, back := outage(t, here, remote, func(c *bridge.Config) { c.Version = v })
		for i := range messages {
			send(t, here.addr, "x/old", fmt.Sprint(i), 2, false)
		}
		if n, _ := here.Queued("mine"); n != messages {
			t.Errorf("%d messages wait, want %d", n, messages)
		}
		back()
		send(t, here.addr, "x/new", "", 2, false)
		old := 0
		for ; ; old++ {
			s := <-got
			if s == "x/new " {
				break
			}
			if s != fmt.Sprintf("x/old %d", old) {
				t.Fatalf("%q came, want message %d", s, old)
			}
		}
		if old == messages {
			t.Error("the new message came last")
		}
		cut()
		send(t, here.addr, "x/later", "", 2, false)
		faster := broker.Config{Listeners: []broker.Listener{{Address: "127.0.0.1:0", Anonymous: true}}, SysInterval: -1}
		liveFirst(broker.Queue{})(&faster)
		if err := here.Reload(faster); err != nil {
			t.Fatal(err)
		}
		back()
		for ; old < messages; old++ {
			want(t, got, fmt.Sprintf("x/old %d", old))
		}
		want(t, got, "x/later ")
		const queue = "$SYS/broker/bridge/far/queue/messages"
		await(t, inbox(t, here.addr, queue), queue+" 0 retained")
	})
}

// The limits of the queue hold as without it: the oldest make room, and what is too old does not come.
func TestLiveFirstLimits(t *testing.T) {
	here, there := runNode(t, liveFirst(broker.Queue{Messages: 5, Age: time.Hour})), runNode(t)
	got := inbox(t, there.addr, "x/#")
	_, back := outage(t, here, there.addr, func(*bridge.Config) {})
	for i := range 8 {
		send(t, here.addr, "x/old", fmt.Sprint(i), 1, false)
	}
	if n, _ := here.Queued("mine"); n != 5 {
		t.Errorf("%d messages wait, want 5", n)
	}
	back()
	want(t, got, "x/old 3", "x/old 4", "x/old 5", "x/old 6", "x/old 7")
	if n := here.Dropped("mine")["queue full"]; n != 3 {
		t.Errorf("%d messages were dropped, want 3", n)
	}

	here = runNode(t, liveFirst(broker.Queue{Age: time.Second}))
	_, back = outage(t, here, there.addr, func(*bridge.Config) {})
	send(t, here.addr, "x/old", "", 1, false)
	endOfSilence(t, here.addr) // so long x/old waits at least, by the broker's clock; its age is counted in whole seconds
	send(t, here.addr, "x/young", "", 1, false)
	back()
	want(t, got, "x/young ")
	if n := here.Dropped("mine")["expired"]; n != 1 {
		t.Errorf("%d messages have expired, want 1", n)
	}
}

// endOfSilence returns when the broker has ended a connection that was silent for three seconds, which is one and a half times
// the keep-alive time.
func endOfSilence(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	hello := packet.Connect{Version: packet.V311, CleanStart: true, ClientID: "silent", KeepAlive: 2}
	if _, err := c.Write(hello.Append(nil, packet.V311)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("a silent connection stays")
	}
}
