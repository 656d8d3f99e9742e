package broker

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/control"
	"github.com/nightjarmq/nightjar/internal/store/disk"
	"github.com/nightjarmq/nightjar/packet"
)

// A machine without a clock battery starts in 1970, and its clock jumps when the
// network answers. Nothing that waits expires by that, neither while the broker
// runs nor at the starts that follow; time that really passes between two starts
// counts.
func TestClockThatJumps(t *testing.T) {
	var wall atomic.Int64 // unix seconds
	born, now := time.Unix(60, 0), time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	cfg := Config{Data: t.TempDir(), wall: func() time.Time { return time.Unix(wall.Load(), 0) }}
	start := func(at time.Time) (*Broker, func()) {
		t.Helper()
		wall.Store(at.Unix())
		return run(t, cfg)
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !holds(); {
			if time.Now().After(deadline) {
				t.Fatalf("in vain it was waited for: %s", what)
			}
			<-time.After(time.Millisecond)
		}
	}
	waiting := func(b *Broker, want int) {
		t.Helper()
		until(fmt.Sprintf("%d messages wait", want), func() bool {
			n, _ := b.Queued("sleeper")
			return n == want
		})
		if there := b.hub.Find("sleeper") != nil; there != (want > 0) {
			t.Fatalf("the session is there: %v", there)
		}
	}

	b, stop := start(born)
	c, err := b.Dial(t.Context(), client.Options{Version: packet.V5, ClientID: "sleeper", SessionExpiry: packet.Some[uint32](3600)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(t.Context(), client.To("news", 1), nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Disconnect(t.Context(), &packet.Disconnect{}); err != nil {
		t.Fatal(err)
	}
	until("the client has gone", func() bool { return !b.hub.Find("sleeper").Connected() })
	p, err := b.Dial(t.Context(), client.Options{Version: packet.V5})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), &packet.Publish{Topic: []byte("news"), QoS: 1, Payload: []byte("x"), PublishProperties: packet.PublishProperties{MessageExpiry: packet.Some[uint32](3600)}}); err != nil {
		t.Fatal(err)
	}
	wall.Store(now.Unix()) // the network answers
	waiting(b, 1)
	stop()

	b, stop = start(now.Add(30 * time.Minute))
	waiting(b, 1)
	lines := 0
	err = control.Inspect(b.store.(*disk.Store), func(l *control.Line) error {
		if l.Session != nil {
			lines++
			if at, end := l.Session.Closed, l.Session.First.Expires; at.Sub(now).Abs() > time.Minute || end.Sub(now.Add(time.Hour)).Abs() > time.Minute {
				t.Errorf("away since %v, with a message until %v", at, end)
			}
		}
		return nil
	})
	if err != nil || lines != 1 {
		t.Errorf("%d sessions, %v", lines, err)
	}
	stop()

	b, stop = start(born) // as every start, on such a machine
	waiting(b, 1)
	now = now.Add(24 * time.Hour)
	wall.Store(now.Unix())
	stop()

	b, stop = start(now.Add(2 * time.Hour))
	waiting(b, 0)
	stop()
}
