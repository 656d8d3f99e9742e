package broker_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// These tests keep the cost of the hot path where it is, on any machine: they count allocations, which do not depend on
// how fast it is. A count that rises is a regression; one that can be lowered is lowered here.

// A message of QoS 1 is copied to memory of its own, once, and nothing else is allocated: not for the window that it is in,
// and not for the two acknowledgements.
func TestAllocationsOfQoS1(t *testing.T) {
	addr := start(t, broker.Config{})
	sub := connect(t, addr, packet.V311, "sub", packet.SubscribeFilter{Filter: "plant/#", Options: packet.Options{QoS: 1}})
	pub := connect(t, addr, packet.V311, "pub")
	const batch = 16 // fewer than a client before 5.0 is sent at once
	p := &packet.Publish{Topic: []byte("plant/1/temperature"), Payload: make([]byte, 64), QoS: 1, PacketID: 1}
	frame := p.Append(nil, packet.V311)
	out, in, acks := bytes.Repeat(frame, batch), make([]byte, batch*len(frame)), make([]byte, 4*batch)
	pass := func() {
		write(t, pub, out)
		read(t, sub, in)
		read(t, pub, acks)
		for i := range batch {
			at := i*len(frame) + 4 + len(p.Topic)
			copy(acks[4*i:], []byte{0x40, 2, in[at], in[at+1]})
		}
		write(t, sub, acks)
	}
	for range 10 { // caches and pools fill
		pass()
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
	if n := testing.AllocsPerRun(300, pass) / batch; n > 1.5 {
		t.Errorf("%.2f allocations per message", n)
	}
}

// A message for many is encoded once, and costs no memory for any of them.
func TestAllocationsOfFanOut(t *testing.T) {
	addr := start(t, broker.Config{})
	var subs []net.Conn
	for i := range 30 {
		subs = append(subs, connect(t, addr, packet.V311, fmt.Sprint("sub", i), packet.SubscribeFilter{Filter: "plant/#"}))
	}
	pub := connect(t, addr, packet.V5, "pub") // another version: it is encoded anew
	frame := (&packet.Publish{Topic: []byte("plant/1/temperature"), Payload: make([]byte, 64)}).Append(nil, packet.V5)
	in := make([]byte, len(frame)-1) // without the length of the properties
	pass := func() {
		write(t, pub, frame)
		for _, s := range subs {
			read(t, s, in)
		}
	}
	pass()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	if n := testing.AllocsPerRun(300, pass); n >= 1 {
		t.Errorf("%v allocations per message", n)
	}
}

// A connection that subscribes and leaves: both sides are counted, since they share the process.
func TestAllocationsOfConnect(t *testing.T) {
	const most = 48
	addr := start(t, broker.Config{})
	hello := (&packet.Connect{Version: packet.V311, CleanStart: true, ClientID: "visitor", KeepAlive: 60}).Append(nil, packet.V311)
	subscribe := (&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "visitor/cmd"}}}).Append(nil, packet.V311)
	bye := (&packet.Disconnect{}).Append(nil, packet.V311)
	answer, rest := make([]byte, 4+5), make([]byte, 1)
	visit := func() {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		write(t, c, hello)
		read(t, c, answer[:4])
		write(t, c, subscribe)
		read(t, c, answer[4:])
		write(t, c, bye)
		if _, err := c.Read(rest); err != io.EOF { // the broker has let go
			t.Fatal(err)
		}
		c.Close()
	}
	visit()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	n := testing.AllocsPerRun(200, visit)
	t.Logf("%v allocations per connection, with those of the client", n)
	if n > most {
		t.Errorf("%v allocations per connection, at most %d are accepted", n, most)
	}
}

func write(t testing.TB, c net.Conn, p []byte) {
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, c net.Conn, p []byte) {
	if _, err := io.ReadFull(c, p); err != nil {
		t.Fatal(err)
	}
}
