package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

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

// A server that does not read makes the queue full, for QoS 0 too, and no publisher wait who does not want to.
func TestKeeperStalledServer(t *testing.T) {
	near, far := net.Pipe()
	o := client.KeeperOptions{Servers: []string{"mqtt://x"}, Queue: client.Queue{MaxMessages: 5, WhenFull: client.Refuse}}
	o.Dial = func(context.Context, string, string) (net.Conn, error) { return near, nil }
	k, events, stop := keeper(t, o)
	p := &peer{t: t, conn: far, v: packet.V5}
	p.expect("CONNECT")
	p.send(ok())
	event(t, events, client.Connected)
	big := &packet.Publish{Topic: []byte("stalled"), Payload: make([]byte, 100<<10)}
	for sent := 0; ; sent++ {
		err := k.PublishAsync(deadline(t), big, nil)
		if errors.Is(err, client.ErrQueueFull) {
			break
		}
		if err != nil || sent > 50 {
			t.Fatal(sent, err)
		}
	}
	far.Close()
	stop()
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
		<-time.After(60*time.Second + time.Millisecond) // the bubble's clock
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
