package bridge_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/bridge"
	"github.com/nightjarmq/nightjar/packet"
)

// What waited when the bridge began is counted as it is sent, each message once.
func TestSentAfterStart(t *testing.T) {
	here, there := runNode(t), runNode(t)
	set := func(c *bridge.Config) { c.Topics = []bridge.Topic{{Pattern: "up", Out: true, QoS: 2}} }
	join(t, here, there.addr, set)()
	got := inbox(t, there.addr, "up")
	const messages = 5
	for i := range messages {
		send(t, here.addr, "up", fmt.Sprint(i), byte(1+i%2), false)
	}
	b, _ := joined(t, here, there.addr, set)
	for i := range messages {
		want(t, got, fmt.Sprint("up ", i))
	}
	if s := b.State(); s.Sent != messages {
		t.Errorf("%d messages were sent, want %d", s.Sent, messages)
	}
}

// However often the uplink breaks, each QoS 2 message is counted once.
func TestCountsOverBreaks(t *testing.T) {
	here, there := runNode(t), runNode(t)
	const messages = 100
	var lives atomic.Int64
	p := runProxy(t, there.addr, func() int {
		if n := lives.Add(1); n <= 30 {
			return 200 + 37*int(n)
		}
		return 0
	})
	up, down := inbox(t, there.addr, "up"), inbox(t, here.addr, "down")
	send(t, there.addr, "down", "ready", 2, true)
	b, _ := joined(t, here, p.addr, func(c *bridge.Config) {
		c.Topics = []bridge.Topic{{Pattern: "up", Out: true, QoS: 2}, {Pattern: "down", In: true, QoS: 2}}
	})
	want(t, down, "down ready retained") // so the subscription there is made
	for name, addr := range map[string]string{"up": here.addr, "down": there.addr} {
		c := dial(t, addr, client.Options{})
		for i := range messages {
			m := &packet.Publish{Topic: []byte(name), QoS: 2, Payload: fmt.Append(nil, i)}
			if err := c.PublishAsync(deadline(t), m, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	exactlyOnce(t, up, "up", messages, true)
	exactlyOnce(t, down, "down", messages, true)
	if s := b.State(); s.Sent != messages || s.Received != messages+1 {
		t.Errorf("%d messages were sent and %d received, want %d and one more", s.Sent, s.Received, messages)
	}
	if n := lives.Load(); n < 10 {
		t.Errorf("the uplink broke %d times only", n/2)
	}
}
