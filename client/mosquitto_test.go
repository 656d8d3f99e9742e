package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
	"github.com/nightjarmq/nightjar/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func dial(t testing.TB, url string, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Dial(deadline(t), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func versions(t *testing.T, test func(t *testing.T, v packet.Version)) {
	for _, v := range []packet.Version{packet.V31, packet.V311, packet.V5} {
		t.Run(v.String(), func(t *testing.T) { test(t, v) })
	}
}

// receive collects messages as "topic qos retain payload".
func receive(t testing.TB, c *client.Client, filter string, qos byte) <-chan string {
	t.Helper()
	got := make(chan string, 1000)
	_, err := c.Subscribe(deadline(t), client.To(filter, qos), func(_ context.Context, m *packet.Publish) {
		got <- fmt.Sprintf("%s %d %t %s", m.Topic, m.QoS, m.Retain, m.Payload)
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func want(t testing.TB, got <-chan string, expected string) {
	t.Helper()
	select {
	case s := <-got:
		if s != expected {
			t.Fatalf("got %q, want %q", s, expected)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%q did not come", expected)
	}
}

// Every QoS arrives as published, in every version and over every transport [MQTT-4.3.1-1], [MQTT-4.3.2-1], [MQTT-4.3.3-1].
func TestRoundTrip(t *testing.T) {
	b := mosquittotest.Start(t, "")
	for name, url := range map[string]string{"tcp": b.URL, "ws": b.WS, "unix": "unix://" + b.Socket} {
		t.Run(name, func(t *testing.T) {
			versions(t, func(t *testing.T, v packet.Version) {
				c := dial(t, url, client.Options{Version: v, ClientID: "round-trip"})
				got := receive(t, c, "a/+", 2)
				for qos := range byte(3) {
					for _, size := range []int{0, 1, 3000, 300_000} {
						if size > 3000 && name == "ws" {
							continue // mosquitto takes 0.1 s for every 4 kB of a WebSocket
						}
						text := strings.Repeat("x", size)
						m := &packet.Publish{Topic: []byte("a/b"), QoS: qos, Payload: []byte(text)}
						if err := c.Publish(deadline(t), m); err != nil {
							t.Fatal(err)
						}
						want(t, got, fmt.Sprintf("a/b %d false %s", qos, text))
					}
				}
				if _, err := c.Unsubscribe(deadline(t), &packet.Unsubscribe{Filters: []string{"a/+"}}); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// Messages of one publisher stay in order while many are under way, and none is lost or doubled.
// [MQTT-4.2-1]
func TestOrderUnderLoad(t *testing.T) {
	b := mosquittotest.Start(t, "max_queued_messages 0\n")
	versions(t, func(t *testing.T, v packet.Version) {
		for qos := byte(1); qos <= 2; qos++ {
			const count = 2000
			sub := dial(t, b.URL, client.Options{Version: v, ClientID: "order-sub"})
			got := make(chan string, count)
			_, err := sub.Subscribe(deadline(t), client.To("load", qos), func(_ context.Context, m *packet.Publish) {
				got <- string(m.Payload)
			})
			if err != nil {
				t.Fatal(err)
			}
			pub := dial(t, b.URL, client.Options{Version: v, ClientID: "order-pub", Inflight: 20})
			acked := make(chan error, count)
			for i := range count {
				m := &packet.Publish{Topic: []byte("load"), QoS: qos, Payload: fmt.Append(nil, i)}
				err := pub.PublishAsync(deadline(t), m, func(_ packet.Ack, err error) { acked <- err })
				if err != nil {
					t.Fatal(err)
				}
			}
			for i := range count {
				if err := <-acked; err != nil {
					t.Fatal(err)
				}
				want(t, got, fmt.Sprint(i))
			}
			sub.Close()
			pub.Close()
		}
	})
}

// Subscribe reports what the server granted, and messages that wait for the handler to be there are not missed.
func TestRetainedAtSubscribe(t *testing.T) {
	b := mosquittotest.Start(t, "")
	c := dial(t, b.URL, client.Options{})
	for i := range 20 {
		m := &packet.Publish{Topic: fmt.Appendf(nil, "kept/%02d", i), QoS: 1, Retain: true, Payload: []byte("v")}
		if err := c.Publish(deadline(t), m); err != nil {
			t.Fatal(err)
		}
	}
	got := receive(t, c, "kept/#", 1)
	for range 20 {
		s := <-got
		if !strings.HasSuffix(s, " 1 true v") {
			t.Fatal(s)
		}
	}
}

// Unacknowledged messages are sent again when the session is taken up again [MQTT-4.4.0-1].
func TestResumeSession(t *testing.T) {
	b := mosquittotest.Start(t, "")
	versions(t, func(t *testing.T, v packet.Version) {
		s := new(client.Session)
		o := client.Options{Version: v, ClientID: "resume" + v.String(), Resume: true, Session: s, SessionExpiry: packet.Some[uint32](60)}
		c := dial(t, b.URL, o)
		got := receive(t, c, "r/+", 2)
		c.Close()
		other := dial(t, b.URL, client.Options{Version: v, ClientID: "other"})
		for i := range 3 {
			m := &packet.Publish{Topic: []byte("r/1"), QoS: 2, Payload: fmt.Append(nil, i)}
			if err := other.Publish(deadline(t), m); err != nil {
				t.Fatal(err)
			}
		}
		c = dial(t, b.URL, o) // the handler is kept in the Session
		for i := range 3 {
			want(t, got, fmt.Sprintf("r/1 2 false %d", i))
		}
		if c.Connack().SessionPresent != (v > packet.V31) {
			t.Error("session present:", c.Connack().SessionPresent)
		}
	})
}

// Refusals are errors with the code of 5.0, whatever the version.
func TestRefusals(t *testing.T) {
	b := mosquittotest.Start(t, "max_packet_size 2000\nretain_available false\nallow_anonymous false\n")
	versions(t, func(t *testing.T, v packet.Version) {
		_, err := client.Dial(deadline(t), b.URL, client.Options{Version: v, ClientID: "x"})
		var e *client.Error
		if !errors.As(err, &e) || e.Code != packet.NotAuthorized {
			t.Error("anonymous:", err)
		}
	})
	open := mosquittotest.Start(t, "max_packet_size 2000\nretain_available false\n")
	c := dial(t, open.URL, client.Options{})
	for _, test := range []struct {
		p    packet.Publish
		code packet.Code
	}{
		{packet.Publish{Topic: []byte("a"), Payload: make([]byte, 3000)}, packet.PacketTooLarge},                                              // [MQTT-3.2.2-15]
		{packet.Publish{Topic: []byte("a"), Retain: true}, packet.RetainNotSupported},                                                         // [MQTT-3.2.2-14]
		{packet.Publish{Topic: []byte("a/+")}, packet.TopicNameInvalid},                                                                       // [MQTT-3.3.2-2]
		{packet.Publish{}, packet.TopicNameInvalid},                                                                                           // [MQTT-4.7.3-1]
		{packet.Publish{Topic: []byte("a"), QoS: 3}, packet.QoSNotSupported},                                                                  // [MQTT-3.3.1-4]
		{packet.Publish{Topic: []byte("a"), PublishProperties: alias(11)}, packet.TopicAliasInvalid},                                          // [MQTT-3.2.2-17]
		{packet.Publish{PublishProperties: alias(2)}, packet.TopicAliasInvalid},                                                               // never set
		{packet.Publish{Topic: []byte("a"), PublishProperties: packet.PublishProperties{SubscriptionIDs: []uint32{1}}}, packet.ProtocolError}, // [MQTT-3.3.4-6]
	} {
		var e *client.Error
		if err := c.Publish(deadline(t), &test.p); !errors.As(err, &e) || e.Code != test.code {
			t.Errorf("%v: %v", test.code, err)
		}
	}
	if err := c.Publish(deadline(t), &packet.Publish{Topic: []byte("a"), QoS: 2}); err != nil {
		t.Error("the connection should be sound:", err)
	}
}

func alias(n uint16) packet.PublishProperties {
	return packet.PublishProperties{TopicAlias: packet.Some(n)}
}

// Outbound aliases, automatic and chosen, reach subscribers as full topics [MQTT-3.3.2-9].
func TestOutboundAliases(t *testing.T) {
	b := mosquittotest.Start(t, "") // takes 10 aliases
	sub := dial(t, b.URL, client.Options{})
	got := receive(t, sub, "#", 0)
	c := dial(t, b.URL, client.Options{TopicAliases: true})
	for range 2 {
		for i := range 12 {
			name := fmt.Sprintf("topic %d", i)
			if err := c.Publish(deadline(t), &packet.Publish{Topic: []byte(name), QoS: 1}); err != nil {
				t.Fatal(err)
			}
			want(t, got, name+" 0 false ")
		}
	}
	if err := c.Publish(deadline(t), &packet.Publish{Topic: []byte("five"), PublishProperties: alias(2)}); err != nil {
		t.Fatal(err)
	}
	want(t, got, "five 0 false ")
	if err := c.Publish(deadline(t), &packet.Publish{QoS: 1, PublishProperties: alias(2)}); err != nil {
		t.Fatal(err)
	}
	want(t, got, "five 0 false ")
	if err := c.Publish(deadline(t), &packet.Publish{Topic: []byte("topic 1"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	want(t, got, "topic 1 0 false ")
}

// Closing right after publishing loses nothing that was buffered.
func TestCloseFlushes(t *testing.T) {
	b := mosquittotest.Start(t, "max_queued_messages 0\n")
	sub := dial(t, b.URL, client.Options{})
	got := receive(t, sub, "bye", 0)
	for round := range 20 {
		c := dial(t, b.URL, client.Options{})
		for i := range 50 {
			if err := c.Publish(deadline(t), &packet.Publish{Topic: []byte("bye"), Payload: fmt.Append(nil, round, i)}); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		for i := range 50 {
			want(t, got, fmt.Sprintf("bye 0 false %d %d", round, i))
		}
	}
}
