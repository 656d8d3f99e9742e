package broker

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// run starts a broker without listeners; stop ends it.
func run(t *testing.T, cfg Config) (b *Broker, stop func()) {
	t.Helper()
	if cfg.SysInterval == 0 {
		cfg.SysInterval = -1
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	return b, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestPublishRetainedStays: what was published retained in the process is there
// after a restart, in place of what a client had published before, and its bytes
// are counted.
func TestPublishRetainedStays(t *testing.T) {
	cfg := Config{Data: t.TempDir()}
	b, stop := run(t, cfg)
	c, err := b.Dial(t.Context(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"replaced", "cleared"} {
		p := &packet.Publish{Topic: []byte(name), Payload: []byte("of a client"), QoS: 1, Retain: true}
		if err := c.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	for _, m := range []Message{
		{Topic: "new", Payload: []byte("1"), Retain: true},
		{Topic: "replaced", Payload: []byte("22"), Retain: true},
		{Topic: "cleared", Retain: true},
		{Topic: "$SYS/broker/of this run", Payload: []byte("333"), Retain: true},
	} {
		if err := b.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	stop()

	b, stop = run(t, cfg)
	defer stop()
	if n, bytes := b.hub.Retained(); n != 2 || bytes != 3 {
		t.Errorf("%d retained messages of %d bytes after a restart, want 2 of 3", n, bytes)
	}
}

// TestPublishIsCounted: copies of what is published in the process are counted
// when Publish returns.
func TestPublishIsCounted(t *testing.T) {
	b, stop := run(t, Config{})
	defer stop()
	c, err := b.Subscribe(t.Context(), "a", 0, func(context.Context, *packet.Publish) {})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if err := b.Publish(t.Context(), Message{Topic: "a"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.hub.Totals().PublishOut; n != 3 {
		t.Errorf("%d messages sent are counted, want 3", n)
	}
}

// gate is an Access that allows everything, and stops a message on its way to
// the client with the identifier "gate".
type gate struct{ reached, open chan struct{} }

func (gate) Publish(*Client, []byte, byte, bool) bool   { return true }
func (gate) Subscribe(*Client, topic.Filter, byte) bool { return true }
func (g gate) Receive(c *Client, _ []byte) bool {
	if c.ID == "gate" {
		g.reached <- struct{}{}
		<-g.open
	}
	return true
}

// TestSubscribeDuringRetained: a client that subscribes while a retained message
// is on its way to others gets it: as what is retained, when it came too late to
// be one of them. [MQTT-3.3.1-9]
func TestSubscribeDuringRetained(t *testing.T) {
	g := gate{make(chan struct{}), make(chan struct{})}
	b, stop := run(t, Config{Access: g})
	defer stop()
	subscribe := func(id string, h client.Handler) {
		t.Helper()
		c, err := b.Dial(t.Context(), client.Options{ClientID: id, Version: packet.V5})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err = c.Subscribe(t.Context(), client.To("a", 0), h); err != nil {
			t.Fatal(err)
		}
	}
	subscribe("gate", func(context.Context, *packet.Publish) {})
	published := make(chan error, 1)
	go func() { published <- b.Publish(t.Context(), Message{Topic: "a", Payload: []byte("1"), Retain: true}) }()
	<-g.reached
	got := make(chan string, 2)
	subscribe("late", func(_ context.Context, m *packet.Publish) { got <- string(m.Payload) })
	close(g.open)
	if err := <-published; err != nil {
		t.Error(err)
	}
	select {
	case <-got:
	case <-time.After(time.Minute):
		t.Error("the message reached the late subscriber neither as a live nor as a retained one")
	}
}

// TestQueuedIsCounted: messages that waited for the window of their receiver are
// counted like all others when they are sent.
func TestQueuedIsCounted(t *testing.T) {
	b, stop := run(t, Config{MaxInflight: 1})
	defer stop()
	const messages = 5
	got := make(chan struct{}, messages)
	c, err := b.Subscribe(t.Context(), "a", 1, func(context.Context, *packet.Publish) { got <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range messages {
		if err := b.Publish(t.Context(), Message{Topic: "a", Payload: []byte("12"), QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for range messages {
		<-got
	}
	if s := b.hub.Totals(); s.PublishOut != messages || s.PublishOutB != 2*messages {
		t.Errorf("%d messages of %d bytes are counted, want %d of %d", s.PublishOut, s.PublishOutB, messages, 2*messages)
	}
}

// TestPublishRefuses: what cannot be said in MQTT is an error, and does not become
// a retained message.
func TestPublishRefuses(t *testing.T) {
	b, stop := run(t, Config{})
	defer stop()
	for _, m := range []Message{
		{Topic: ""},
		{Topic: "a/+"},
		{Topic: "a\xff"},
		{Topic: strings.Repeat("a", 65536)},
		{Topic: "a", QoS: 3},
		{Topic: "a", Payload: make([]byte, packet.MaxVarint-5)},
	} {
		m.Retain = true
		if b.Publish(t.Context(), m) == nil {
			t.Errorf("no error for a topic of %d bytes, a payload of %d and QoS %d", len(m.Topic), len(m.Payload), m.QoS)
		}
	}
	if n, _ := b.hub.Retained(); n != 0 {
		t.Errorf("%d retained messages", n)
	}
}

// TestSharedDroppedOnce: a message that no member of a shared subscription takes
// is one message dropped.
func TestSharedDroppedOnce(t *testing.T) {
	b, stop := run(t, Config{MaxQueuedMessages: 1})
	defer stop()
	const members = 3
	for i := range members {
		o := client.Options{ClientID: strconv.Itoa(i), Version: packet.V5, SessionExpiry: packet.Some[uint32](100)}
		c, err := b.Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Subscribe(t.Context(), client.To("$share/g/a", 1), func(context.Context, *packet.Publish) {}); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	for b.hub.Gauges().Connected > 0 {
		runtime.Gosched()
	}
	for range members + 2 {
		if err := b.Publish(t.Context(), Message{Topic: "a", QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	dropped := int64(0)
	for _, n := range b.hub.Totals().Dropped {
		dropped += n
	}
	if dropped != 2 {
		t.Errorf("%d messages are counted as dropped, want 2", dropped)
	}
}
