package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// A loop over messages goes on over links that break, and with QoS 2 sees each message once, although it acknowledges late
// [MQTT-4.3.3-10].
func TestKeeperMessagesOverBreakingLinks(t *testing.T) {
	servers(t, func(t *testing.T, url string) {
		const count = 200
		o := client.KeeperOptions{Servers: []string{url}}
		o.ClientID, o.Resume, o.Dial = "looper", true, (&link{limit: 900}).connect
		o.SessionExpiry, o.ReceiveMaximum = packet.Some[uint32](100), 5
		k, events, _ := keeper(t, o)
		pub := dial(t, url, client.Options{})
		event(t, events, client.Connected)
		var feeding sync.WaitGroup
		defer feeding.Wait()
		if err := pub.Publish(deadline(t), &packet.Publish{Topic: []byte("loop"), QoS: 2, Retain: true, Payload: []byte("0")}); err != nil {
			t.Fatal(err)
		}
		next := 0
		for m, err := range k.Messages(deadline(t), client.To("loop", 2)) {
			if err != nil {
				t.Fatal(err)
			}
			if m.Retain && next > 0 {
				continue // the subscription was made anew, before the server had answered it
			}
			if string(m.Payload) != fmt.Sprint(next) {
				t.Fatalf("%s, want %d", m.Payload, next)
			}
			if next == 0 {
				feeding.Go(func() {
					for i := 1; i < count; i++ {
						if err := pub.Publish(deadline(t), &packet.Publish{Topic: []byte("loop"), QoS: 2, Payload: fmt.Append(nil, i)}); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			if next++; next == count {
				break
			}
		}
		if next != count {
			t.Error("the loop ended at", next)
		}
		event(t, events, client.Disconnected)
	})
}

// A subscription whose caller has given up is made nevertheless, and can be taken back before.
func TestKeeperSubscribesLater(t *testing.T) {
	url, _ := nightjar(t, broker.Config{})
	l := &link{down: true}
	o := client.KeeperOptions{Servers: []string{url}}
	o.Dial = l.connect
	k, _, _ := keeper(t, o)
	gone, cancel := context.WithCancel(deadline(t))
	cancel()
	got := make(chan string, 10)
	handle := func(_ context.Context, m *packet.Publish) { got <- text(m) }
	for _, f := range []string{"kept", "taken back"} {
		if _, err := k.Subscribe(gone, client.To(f, 0), handle); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if _, err := k.Unsubscribe(gone, &packet.Unsubscribe{Filters: []string{"taken back"}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	l.mend()
	if _, err := k.Subscribe(deadline(t), client.To("last", 0), handle); err != nil { // behind the others
		t.Fatal(err)
	}
	for _, name := range []string{"taken back", "kept", "last"} {
		if err := k.Publish(deadline(t), message(0, 1, name)); err != nil {
			t.Error(err)
		}
	}
	want(t, got, "PUBLISH 0 q0 kept p")
	want(t, got, "PUBLISH 0 q0 last p")
	var refused *client.Error
	if _, err := k.Subscribe(deadline(t), client.To("a#", 0), nil); !errors.As(err, &refused) {
		t.Error(err)
	}
	if _, err := k.Unsubscribe(deadline(t), &packet.Unsubscribe{Filters: []string{"a#"}}); !errors.As(err, &refused) {
		t.Error(err)
	}
}

// What a server without the session refuses is told; the rest is subscribed, in few packets, with its options and
// properties.
func TestKeeperResubscriptionRefused(t *testing.T) {
	ends := make(chan net.Conn, 2)
	o := client.KeeperOptions{Servers: []string{"mqtt://x"}}
	o.KeepAlive = -1
	o.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case ends <- far:
			return near, nil
		default:
			return nil, errors.New("nobody listens")
		}
	}
	k, events, stop := keeper(t, o)
	p := &peer{t: t, conn: <-ends, v: packet.V5}
	p.expect("CONNECT")
	p.send(&packet.Connack{AssignedClientID: packet.Some("given")})
	subscribe := func(s *packet.Subscribe) {
		t.Helper()
		answered := make(chan error, 1)
		go func() {
			_, err := k.Subscribe(deadline(t), s, nil)
			answered <- err
		}()
		q := p.read().(*packet.Subscribe)
		p.send(&packet.Suback{PacketID: q.PacketID, Codes: make([]packet.Code, len(q.Filters))})
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	subscribe(client.To("a", 1))
	subscribe(client.To("b", 2))
	special := client.To("c", 0)
	special.SubscriptionID, special.User = packet.Some[uint32](9), []packet.UserProperty{{Key: "k", Value: "v"}}
	subscribe(special)
	p.conn.Close()
	p = &peer{t: t, conn: <-ends, v: packet.V5}
	hello := p.read().(*packet.Connect)
	if hello.ClientID != "given" || hello.CleanStart { // [MQTT-3.2.2-16]
		t.Errorf("%+v", hello)
	}
	p.send(ok())
	q := p.read().(*packet.Subscribe)
	if len(q.Filters) != 2 || q.Filters[0].Filter != "a" || q.Filters[1].Options.QoS != 2 || q.SubscriptionID.Set {
		t.Errorf("%+v", q)
	}
	p.send(&packet.Suback{PacketID: q.PacketID, Codes: []packet.Code{packet.NotAuthorized, 2}})
	q = p.read().(*packet.Subscribe)
	if len(q.Filters) != 1 || q.SubscriptionID.Value != 9 || len(q.User) != 1 {
		t.Errorf("%+v", q)
	}
	p.send(&packet.Suback{PacketID: q.PacketID, Codes: []packet.Code{0}})
	if e := event(t, events, client.NotSubscribed); e.Filter != "a" || e.Err == nil {
		t.Error(e)
	}
	p.conn.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// Of the subscriptions to restore only those are given up that another server does not offer.
func TestKeeperResubscriptionNotOffered(t *testing.T) {
	ends := make(chan net.Conn, 2)
	o := client.KeeperOptions{Servers: []string{"mqtt://x"}}
	o.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case ends <- far:
			return near, nil
		default:
			return nil, errors.New("nobody listens")
		}
	}
	k, events, stop := keeper(t, o)
	p := &peer{t: t, conn: <-ends, v: packet.V5}
	p.expect("CONNECT")
	p.send(ok())
	for _, filter := range []string{"a/+", "b"} {
		answered := make(chan error, 1)
		go func() {
			_, err := k.Subscribe(deadline(t), client.To(filter, 1), nil)
			answered <- err
		}()
		q := p.read().(*packet.Subscribe)
		p.send(&packet.Suback{PacketID: q.PacketID, Codes: []packet.Code{packet.Success}})
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	p.conn.Close()
	p = &peer{t: t, conn: <-ends, v: packet.V5}
	p.expect("CONNECT")
	p.send(&packet.Connack{WildcardAvailable: packet.Some[byte](0)})
	q := p.read().(*packet.Subscribe)
	if len(q.Filters) != 1 || q.Filters[0].Filter != "b" {
		t.Errorf("%+v", q)
	}
	e := event(t, events, client.NotSubscribed)
	refused(t, e.Filter, e.Err, packet.WildcardSubscriptionsNotSupported)
	if e.Filter != "a/+" {
		t.Error(e.Filter)
	}
	p.conn.Close()
	stop()
}
