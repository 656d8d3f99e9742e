package broker_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// start runs a broker with one TCP listener and returns its address.
func start(t testing.TB, cfg broker.Config) string {
	t.Helper()
	cfg.SysInterval = -1
	cfg.Listeners = []broker.Listener{{Address: "127.0.0.1:0", Anonymous: true}}
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return b.Addrs()[0].String()
}

// connect opens a connection and sends packets, of which each but CONNECT's
// answer is awaited by its size.
func connect(t testing.TB, addr string, v packet.Version, id string, subscribe ...packet.SubscribeFilter) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	exchange(t, c, (&packet.Connect{Version: v, CleanStart: true, ClientID: id}).Append(nil, v), packet.TypeConnack)
	if len(subscribe) > 0 {
		exchange(t, c, (&packet.Subscribe{PacketID: 1, Filters: subscribe}).Append(nil, v), packet.TypeSuback)
	}
	return c
}

// exchange writes a packet and reads the answer, which must be of the type.
func exchange(t testing.TB, c net.Conn, p []byte, want packet.Type) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	if got := packet.Type(head[0] >> 4); got != want {
		t.Fatalf("answered with %v, want %v", got, want)
	}
	if _, err := io.ReadFull(c, make([]byte, head[1])); err != nil {
		t.Fatal(err)
	}
}

// A QoS 0 PUBLISH that needs no change passes byte for byte and without an
// allocation, from the socket of its publisher to that of its subscriber.
func TestPassThroughWithoutAllocation(t *testing.T) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		t.Run(v.String(), func(t *testing.T) {
			addr := start(t, broker.Config{})
			sub := connect(t, addr, v, "sub", packet.SubscribeFilter{Filter: "plant/+/temperature"})
			pub := connect(t, addr, v, "pub")
			frame := (&packet.Publish{Topic: []byte("plant/1/temperature"), Payload: []byte("21.5")}).Append(nil, v)
			got := make([]byte, len(frame))
			pass := func() {
				if _, err := pub.Write(frame); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(sub, got); err != nil {
					t.Fatal(err)
				}
			}
			pass() // caches and pools fill
			if !bytes.Equal(got, frame) {
				t.Fatalf("received %x, sent %x", got, frame)
			}
			if n := testing.AllocsPerRun(500, pass); n != 0 {
				t.Errorf("%v allocations per message", n)
			}
		})
	}
}

// BenchmarkPass sends messages from one connection to another, in batches that
// fill a packet of the network, through the whole broker over TCP.
func BenchmarkPass(b *testing.B) {
	for _, bm := range []struct {
		name string
		v    packet.Version
		qos  byte
	}{{"v3.1.1/qos0", packet.V311, 0}, {"v5/qos0", packet.V5, 0}, {"v3.1.1/qos1", packet.V311, 1}} {
		b.Run(bm.name, func(b *testing.B) {
			addr := start(b, broker.Config{})
			sub := connect(b, addr, bm.v, "sub", packet.SubscribeFilter{Filter: "plant/#", Options: packet.Options{QoS: bm.qos}})
			pub := connect(b, addr, bm.v, "pub")
			benchmarkPass(b, pub, sub, &packet.Publish{
				Topic: []byte("plant/1/temperature"), Payload: make([]byte, 64), QoS: bm.qos, PacketID: uint16(bm.qos),
			}, bm.v)
		})
	}
}

const passBatch = 64

func benchmarkPass(b *testing.B, pub, sub net.Conn, p *packet.Publish, v packet.Version) {
	frame := p.Append(nil, v)
	out := bytes.Repeat(frame, passBatch)
	in := make([]byte, len(out))
	acks := make([]byte, 4*passBatch)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for i := 0; i < b.N; i += passBatch {
		if _, err := pub.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(sub, in); err != nil {
			b.Fatal(err)
		}
		if p.QoS == 0 {
			continue
		}
		if _, err := io.ReadFull(pub, acks); err != nil {
			b.Fatal(err)
		}
		acknowledge(in, len(frame), 3+len(p.Topic), acks)
		if _, err := sub.Write(acks); err != nil {
			b.Fatal(err)
		}
	}
}

// acknowledge writes the PUBACKs of the frames in, whose packet identifiers
// stand at the offset at behind the fixed header's first byte.
func acknowledge(in []byte, size, at int, acks []byte) {
	for i := range passBatch {
		id := in[i*size+1+at:]
		copy(acks[4*i:], []byte{byte(packet.TypePuback) << 4, 2, id[0], id[1]})
	}
}
