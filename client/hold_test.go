package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// holder keeps the acknowledgements of all messages, by topic.
type holder struct {
	got  chan string
	free map[string]func() // written by the reading goroutine, read after got
}

func newHolder() *holder { return &holder{make(chan string, 100), make(map[string]func())} }

func (h *holder) handle(ctx context.Context, m *packet.Publish) {
	if m = client.Clone(m); string(m.Topic) != "free" {
		h.free[string(m.Topic)] = client.Hold(ctx)
	}
	h.got <- text(m)
}

// Held messages are acknowledged when their holders say so, and all in the order of arrival [MQTT-4.6.0-2],
// [MQTT-4.6.0-3].
func TestHold(t *testing.T) {
	h := newHolder()
	_, p := connect(t, client.Options{Handler: h.handle}, ok())
	for i, q := range []*packet.Publish{message(1, 1, "a"), message(2, 2, "b"), message(3, 1, "free"), message(4, 1, "d"), message(0, 0, "e")} {
		p.send(q)
		want(t, h.got, text(q))
		if i == 4 {
			h.free["e"]() // QoS 0: nothing to acknowledge
		}
	}
	h.free["b"]()
	h.free["b"]() // twice is once
	h.free["a"]()
	p.expect("PUBACK 1", "PUBREC 2", "PUBACK 3")
	h.free["d"]()
	p.expect("PUBACK 4")
	p.send(message(5, 1, "free"))
	p.expect("PUBACK 5")
}

// A message that two handlers hold is acknowledged when both have let go.
func TestHoldTwice(t *testing.T) {
	c, p := connect(t, client.Options{}, ok())
	held := make(chan func(), 2)
	for i, f := range []string{"x/+", "x/#"} {
		subscribed := make(chan error, 1)
		go func() {
			_, err := c.Subscribe(deadline(t), client.To(f, 1), func(ctx context.Context, _ *packet.Publish) { held <- client.Hold(ctx) })
			subscribed <- err
		}()
		p.read()
		p.send(&packet.Suback{PacketID: uint16(i + 1), Codes: []packet.Code{1}})
		if err := <-subscribed; err != nil {
			t.Fatal(err)
		}
	}
	p.send(message(9, 1, "x/1"))
	(<-held)()
	second := <-held
	p.send(message(0, 0, "between"))
	if err := c.Publish(deadline(t), message(0, 0, "marker")); err != nil {
		t.Fatal(err)
	}
	p.expect("PUBLISH 0 q0 marker p")
	second()
	p.expect("PUBACK 9")
}

// A QoS 2 message that is held over the loss of the connection is handed over once, and acknowledged on the next
// connection [MQTT-4.3.3-10], [MQTT-4.4.0-1].
func TestHoldAcrossConnections(t *testing.T) {
	h := newHolder()
	o := client.Options{ClientID: "h", Resume: true, Session: new(client.Session), Handler: h.handle}
	c, p := connect(t, o, ok())
	p.send(message(7, 2, "early"))
	p.send(message(8, 2, "late"))
	want(t, h.got, "PUBLISH 7 q2 early p")
	want(t, h.got, "PUBLISH 8 q2 late p")
	p.conn.Close()
	<-c.Done()
	h.free["early"]()
	_, p = connect(t, o, &packet.Connack{SessionPresent: true})
	for _, m := range []*packet.Publish{message(7, 2, "early"), message(8, 2, "late")} {
		m.Dup = true
		p.send(m)
	}
	p.expect("PUBREC 7")
	h.free["late"]()
	p.expect("PUBREC 8")
	p.send(&packet.Pubrel{PacketID: 8})
	p.expect("PUBCOMP 8 00")
	if len(h.got) != 0 {
		t.Error("handed over again:", <-h.got)
	}
}

// Hold outside a handler does nothing and harms nobody.
func TestHoldOutside(t *testing.T) { client.Hold(context.Background())() }

// A loop over messages may publish and wait, and acknowledges each message after its body; breaking off unsubscribes.
func TestMessages(t *testing.T) {
	servers(t, func(t *testing.T, url string) {
		for _, connect := range []func() client.Publisher{
			func() client.Publisher { return dial(t, url, client.Options{ReceiveMaximum: 3}) },
			func() client.Publisher {
				k, _, _ := keeper(t, client.KeeperOptions{Servers: []string{url}, Options: client.Options{ReceiveMaximum: 3}})
				return k
			},
		} {
			c := connect()
			got := receive(t, dial(t, url, client.Options{}), "done/+", 1)
			loop(t, c)
			for i := range 20 {
				want(t, got, fmt.Sprintf("done/%d 1 false p", i))
			}
			a, err := c.Unsubscribe(deadline(t), &packet.Unsubscribe{Filters: []string{"in/+"}})
			if err != nil || a.Codes[0] != packet.NoSubscriptionExisted {
				t.Error("still subscribed:", a, err)
			}
		}
	})
}

// loop takes 20 messages that it publishes to itself and passes them on.
func loop(t *testing.T, c client.Publisher) {
	t.Helper()
	var messages func(func(*packet.Publish, error) bool)
	switch c := c.(type) {
	case *client.Client:
		messages = c.Messages(deadline(t), client.To("in/+", 1))
	case *client.Keeper:
		messages = c.Messages(deadline(t), client.To("in/+", 1))
	}
	next := 0
	feed := func() {
		for i := range 20 {
			if err := c.PublishAsync(deadline(t), message(0, 1, fmt.Sprint("in/", i)), nil); err != nil {
				t.Error(err)
			}
		}
	}
	first := true
	ready := make(chan struct{})
	go func() {
		<-ready
		feed()
	}()
	// The subscription exists when the retained marker comes.
	if err := c.Publish(deadline(t), &packet.Publish{Topic: []byte("in/start"), QoS: 1, Retain: true, Payload: []byte("p")}); err != nil {
		t.Fatal(err)
	}
	for m, err := range messages {
		if err != nil {
			t.Fatal(err)
		}
		if first {
			first = false
			close(ready)
			continue
		}
		if string(m.Topic) != fmt.Sprint("in/", next) {
			t.Fatalf("%s, want %d", m.Topic, next)
		}
		done := fmt.Appendf(nil, "done/%d", next)
		if err := c.Publish(deadline(t), &packet.Publish{Topic: done, QoS: 1, Payload: m.Payload}); err != nil {
			t.Fatal(err)
		}
		if next++; next == 20 {
			break
		}
	}
	c.Publish(deadline(t), &packet.Publish{Topic: []byte("in/start"), QoS: 1, Retain: true})
}

// A loop that is too slow for QoS 0 is told how much it missed, one whose connection ends is told why, and one whose
// subscription is refused does not begin.
func TestMessagesErrors(t *testing.T) {
	c, p := connect(t, client.Options{}, ok())
	released, ended := make(chan struct{}), make(chan string, 1)
	go func() {
		var log []string
		for m, err := range c.Messages(context.Background(), client.To("#", 0)) {
			var overrun *client.Overrun
			switch {
			case errors.As(err, &overrun):
				log = append(log, fmt.Sprint("missed ", overrun.Messages))
			case err != nil:
				log = append(log, "end")
			default:
				if len(log) == 0 {
					<-released
				}
				log = append(log, string(m.Topic))
			}
		}
		ended <- strings.Join(log, ",")
	}()
	p.read()
	p.send(&packet.Suback{PacketID: 1, Codes: []packet.Code{0}})
	big := message(0, 0, "big")
	big.Payload = make([]byte, 600<<10)
	for range 4 {
		p.send(big)
	}
	p.send(&packet.Publish{QoS: 1, PacketID: 3, Topic: []byte("kept")})
	p.send(&packet.Puback{PacketID: 77}) // nobody's: when it has been taken, so has all before it
	p.send(&packet.Pubrec{PacketID: 78}) // answered at once, so the client is that far
	p.expect(text(&packet.Pubrel{PacketID: 78, Code: packet.PacketIdentifierNotFound}))
	close(released)
	p.expect("PUBACK 3")
	p.conn.Close()
	got := <-ended
	// The first message may have been taken before or after the second came.
	if got != "big,kept,missed 3,end" && got != "big,big,kept,missed 2,end" {
		t.Error(got)
	}
	b := dial(t, mustRefuse(t), client.Options{})
	for _, err := range b.Messages(deadline(t), client.To("$share/g/x", 1)) {
		var e *client.Error
		if !errors.As(err, &e) {
			t.Error(err)
		}
	}
}

// mustRefuse is a server that refuses every subscription.
func mustRefuse(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		p := &peer{t: t, conn: conn, v: packet.V5}
		for {
			switch q := p.read().(type) {
			case *packet.Connect:
				p.send(ok())
			case *packet.Subscribe:
				p.send(&packet.Suback{PacketID: q.PacketID, Codes: []packet.Code{packet.NotAuthorized}})
			default:
				conn.Close()
				return
			}
		}
	}()
	return "mqtt://" + l.Addr().String()
}

// Requests are answered by their responses, also many at once and out of order, over Client and Keeper (5.0 section 4.10).
func TestRequestResponse(t *testing.T) {
	servers(t, func(t *testing.T, url string) {
		server := dial(t, url, client.Options{})
		failed := make(chan string, 10)
		respond := func(_ context.Context, m *packet.Publish) (*packet.Publish, error) {
			switch string(m.Payload) {
			case "fail":
				return nil, errors.New("cannot")
			case "silent":
				return nil, nil
			}
			return &packet.Publish{Payload: slices.Repeat(m.Payload, 2)}, nil
		}
		h := client.Responder(server, respond, func(err error) { failed <- err.Error() })
		if _, err := server.Subscribe(deadline(t), client.To("double", 1), h); err != nil {
			t.Fatal(err)
		}
		k, _, _ := keeper(t, client.KeeperOptions{Servers: []string{url}})
		for _, c := range []client.Publisher{dial(t, url, client.Options{}), k} {
			r, err := client.NewRequester(deadline(t), c, "")
			if err != nil {
				t.Fatal(err)
			}
			answers := make(chan error, 20)
			for i := range 20 {
				go func() {
					ask := fmt.Sprintf("<%d>", i)
					m, err := r.Request(deadline(t), &packet.Publish{Topic: []byte("double"), QoS: byte(i % 3), Payload: []byte(ask)})
					if err == nil && string(m.Payload) != ask+ask {
						err = fmt.Errorf("%s answered by %s", ask, m.Payload)
					}
					answers <- err
				}()
			}
			for range 20 {
				if err := <-answers; err != nil {
					t.Error(err)
				}
			}
			var e *client.Error
			if _, err := r.Request(deadline(t), message(0, 1, "nobody/there")); !errors.As(err, &e) || e.Code != packet.NoMatchingSubscribers {
				t.Error(err)
			}
			ctx, cancel := context.WithCancel(deadline(t))
			go func() {
				<-failed
				cancel()
			}()
			if _, err := r.Request(ctx, &packet.Publish{Topic: []byte("double"), QoS: 1, Payload: []byte("fail")}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if err := r.Close(deadline(t)); err != nil {
				t.Error(err)
			}
		}
		if err := server.Publish(deadline(t), message(0, 1, "double")); err != nil {
			t.Error(err)
		}
		want(t, failed, "respond on double: the message has no Response Topic")
	})
}
