package broker

import (
	"context"
	"testing"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// run starts a broker without listeners; stop ends it.
func run(t *testing.T, cfg Config) (b *Broker, stop func()) {
	t.Helper()
	cfg.SysInterval = -1
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
