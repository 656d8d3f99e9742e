package script

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// TestSlowReceiver: a client that reads nothing for a while gets every message of
// QoS 1 afterwards, in order, however small the buffer and large the messages
// [MQTT-4.5.0-1] [MQTT-4.6.0-5]; also when it was away meanwhile.
func TestSlowReceiver(t *testing.T) {
	for _, size := range []int{10, 10_000, 700_000, 3_000_000} {
		for _, limit := range []int{16 << 10, 1 << 20} {
			for _, expiry := range []uint32{0, 100} {
				t.Run(fmt.Sprintf("%d bytes, buffer %d, expiry %d", size, limit, expiry), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { slowReceiver(t, size, limit, expiry) })
				})
			}
		}
	}
}

const slowMessages = 30

func slowReceiver(t *testing.T, size, limit int, expiry uint32) {
	b, _ := start(t, broker.Config{Loops: -1, SysInterval: -1, OutputLimit: limit, MaxQueuedBytes: -1, MaxBuffered: -1})
	synctest.Wait()
	connect := packet.Connect{Version: packet.V5, CleanStart: true, ClientID: "slow", SessionExpiry: packet.Some(expiry)}
	slow := dial(t, b, &connect)
	slow.send(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "t", Options: packet.Options{QoS: 1}}}})
	slow.receive(packet.TypeSuback)
	fast := dial(t, b, &packet.Connect{Version: packet.V311, CleanStart: true, ClientID: "fast"})
	for i := range slowMessages {
		fast.send(&packet.Publish{Topic: []byte("t"), Payload: fmt.Appendf(nil, "%03d%s", i, strings.Repeat("x", size)), QoS: 1, PacketID: uint16(i + 1)})
		fast.receive(packet.TypePuback)
	}
	if expiry > 0 { // twice: once before it has read a byte, once with everything in flight
		slow.conn.Close()
		connect.CleanStart = false
		slow = dial(t, b, &connect)
	}
	for i := range slowMessages {
		p := slow.receive(packet.TypePublish).(*packet.Publish)
		if got := string(p.Payload[:3]); got != fmt.Sprintf("%03d", i) {
			t.Fatalf("message %s came, want %d", got, i)
		}
		if i >= 20 { // the first ones keep their places in the window
			slow.send(&packet.Puback{PacketID: p.PacketID})
		}
	}
}

// peer is a client that reads when it is told to.
type peer struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	v    packet.Version
}

func dial(t *testing.T, b *broker.Broker, c *packet.Connect) *peer {
	conn, err := b.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &peer{t: t, conn: conn, r: bufio.NewReaderSize(conn, 16), v: c.Version}
	p.send(c)
	p.receive(packet.TypeConnack)
	return p
}

func (p *peer) send(out packet.Packet) {
	if _, err := p.conn.Write(out.Append(nil, p.v)); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

func (p *peer) receive(want packet.Type) packet.Packet {
	p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	head, err := p.r.Peek(2)
	if err != nil {
		p.t.Fatalf("wait for %v: %v", want, err)
	}
	h, ok, _ := packet.ReadHeader(head)
	for n := 3; !ok; n++ {
		if head, err = p.r.Peek(n); err != nil {
			p.t.Fatal(err)
		}
		h, ok, _ = packet.ReadHeader(head)
	}
	raw := make([]byte, h.Size+h.Remaining)
	if _, err := io.ReadFull(p.r, raw); err != nil {
		p.t.Fatalf("read: %v", err)
	}
	in, err := packet.Decode(h, raw[h.Size:], p.v)
	if err != nil || h.Type != want {
		p.t.Fatalf("%v came, want %v: %v", h.Type, want, err)
	}
	return in
}
