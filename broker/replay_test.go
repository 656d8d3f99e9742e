package broker

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// TestRetainedOfMany: a client that subscribes to everything over and over, and
// reads nothing, does not make the broker keep a list of what is retained for
// each time.
func TestRetainedOfMany(t *testing.T) {
	const retained, times, allowed = 2000, 1000, 4 << 20 // 16 MB of pointers, if lists are kept
	b, stop := run(t, Config{})
	defer stop()
	for i := range retained {
		if err := b.Publish(t.Context(), Message{Topic: fmt.Sprint(i), Payload: []byte("x"), Retain: true}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := b.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out := (&packet.Connect{Version: packet.V311, ClientID: "c", CleanStart: true}).Append(nil, packet.V311)
	many := packet.Subscribe{PacketID: 1}
	for range times {
		many.Filters = append(many.Filters, packet.SubscribeFilter{Filter: "#"})
	}
	out = many.Append(out, packet.V311)
	last := packet.Subscribe{PacketID: 2, Filters: []packet.SubscribeFilter{{Filter: "last"}}}
	out = last.Append(out, packet.V311)

	before := inUse()
	if _, err := c.Write(out); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for b.hub.Gauges().Subscriptions < 2 {
		if time.Now().After(deadline) {
			t.Fatal("the subscriptions are not there")
		}
		runtime.Gosched()
	}
	if more := inUse() - before; more > allowed {
		t.Errorf("%d bytes are kept for %d bytes sent", more, len(out))
	}
}

func inUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestUnsubscribeEndsRetained: after UNSUBACK come no more of the retained
// messages that the subscription has brought. [MQTT-3.10.4-2]
func TestUnsubscribeEndsRetained(t *testing.T) {
	b, stop := run(t, Config{OutputLimit: 4 << 10})
	defer stop()
	const retained = 1000
	for i := range retained {
		if err := b.Publish(t.Context(), Message{Topic: fmt.Sprint(i), Payload: make([]byte, 100), Retain: true}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := b.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out := (&packet.Connect{Version: packet.V311, ClientID: "c", CleanStart: true}).Append(nil, packet.V311)
	out = (&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "#"}}}).Append(out, packet.V311)
	out = (&packet.Unsubscribe{PacketID: 2, Filters: []string{"#"}}).Append(out, packet.V311)
	if _, err := c.Write(out); err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	for came := map[packet.Type]int{}; came[packet.TypePingresp] < 2000; { // occasions enough to send more
		first, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%v after %v", err, came)
		}
		n, err := binary.ReadUvarint(r) // of MQTT's form
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Discard(int(n)); err != nil {
			t.Fatal(err)
		}
		kind := packet.Type(first >> 4)
		came[kind]++
		if kind == packet.TypePublish && came[packet.TypeUnsuback] > 0 {
			t.Fatalf("%v", came)
		}
		if kind == packet.TypeUnsuback || kind == packet.TypePingresp {
			c.Write((&packet.Pingreq{}).Append(nil, packet.V311))
		}
	}
}
