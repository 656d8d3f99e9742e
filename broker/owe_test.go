package broker

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// TestAnswersBehindOneLargeMessage: a client that is still receiving a message much larger than what may be buffered
// publishes and asks meanwhile, and is answered behind it.
func TestAnswersBehindOneLargeMessage(t *testing.T) {
	b, stop := run(t, Config{OutputLimit: 4 << 10})
	defer stop()
	large := packet.Publish{Topic: []byte("large"), Retain: true, Payload: make([]byte, 1<<20)}
	if err := b.Publish(t.Context(), Message{Topic: "large", Retain: true, Payload: large.Payload}); err != nil {
		t.Fatal(err)
	}
	c := pipe(t, b)
	exchange(t, c, &packet.Connect{Version: packet.V5, CleanStart: true, ClientID: "c"}, "")
	read(t, c)
	exchange(t, c, &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "large"}}}, "\x90\x04\x00\x01\x00\x00")
	for id := range uint16(100) {
		exchange(t, c, &packet.Publish{Topic: []byte("nobody"), QoS: 1, PacketID: id + 1}, "")
		exchange(t, c, &packet.Pingreq{}, "")
	}
	if _, err := io.CopyN(io.Discard, c, int64(len(large.Append(nil, packet.V5)))); err != nil {
		t.Fatal(err)
	}
	for id := range uint16(100) {
		if ack, ok := read(t, c).(*packet.Puback); !ok || ack.PacketID != id+1 {
			t.Fatalf("got %+v, want the PUBACK of %d", ack, id+1)
		}
		if _, ok := read(t, c).(*packet.Pingresp); !ok {
			t.Fatal("no PINGRESP")
		}
	}
}

// TestAnswersThatNobodyReads: a client that asks for long answers over and over, and reads none, is cut off.
func TestAnswersThatNobodyReads(t *testing.T) {
	b, stop := run(t, Config{OutputLimit: 4 << 10})
	defer stop()
	c := pipe(t, b)
	exchange(t, c, &packet.Connect{Version: packet.V5, CleanStart: true, ClientID: "c"}, "")
	read(t, c)
	var p packet.Subscribe
	for range 200 {
		p.Filters = append(p.Filters, packet.SubscribeFilter{Filter: "a"})
	}
	p.PacketID = 1
	raw := p.Append(nil, packet.V5)
	for range 3000 {
		if b.hub.Find("c") == nil {
			return
		}
		if _, err := c.Write(raw); err != nil {
			return
		}
	}
	t.Error("3000 answers of 200 bytes wait")
}

// TestManyFilters: the work for the filters of one SUBSCRIBE grows with their number, not with its square.
func TestManyFilters(t *testing.T) {
	const filters = 200_000
	b, stop := run(t, Config{})
	defer stop()
	c := pipe(t, b)
	exchange(t, c, &packet.Connect{Version: packet.V311, CleanStart: true, ClientID: "c"}, "\x20\x02\x00\x00")
	p := packet.Subscribe{PacketID: 1}
	q := packet.Unsubscribe{PacketID: 2}
	for i := range filters {
		p.Filters = append(p.Filters, packet.SubscribeFilter{Filter: fmt.Sprintf("f/%x", i)})
		q.Filters = append(q.Filters, p.Filters[i].Filter)
	}
	write := func(raw []byte, answer int64) {
		t.Helper()
		if _, err := c.Write(raw); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, c, answer); err != nil {
			t.Fatal(err)
		}
	}
	write(p.Append(nil, packet.V311), 1+3+2+filters)
	write(q.Append(nil, packet.V311), 1+1+2)
}

// TestStopWhileAClientReadsNothing: what a client does not read holds the broker up for one CloseTimeout.
func TestStopWhileAClientReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := run(t, Config{Loops: -1})
		c := pipe(t, b)
		exchange(t, c, &packet.Connect{Version: packet.V5, CleanStart: true, ClientID: "c"}, "")
		synctest.Wait()
		began := time.Now()
		stop()
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
