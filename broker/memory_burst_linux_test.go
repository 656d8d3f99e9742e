//go:build !race

package broker_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// Connections that were busy cost at most a fifth more than before, once they are silent: there are no buffers, no windows and
// few routes. Each of them publishes and receives.
func TestMemoryComesBack(t *testing.T) {
	const n, most = 2000, 20 // per cent
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		for qos := range byte(3) {
			t.Run(fmt.Sprintf("version %d, QoS %d", v, qos), func(t *testing.T) {
				addr := start(t, broker.Config{Loops: 1})
				fds := make([]int, 0, n+50)
				defer func() { closeAll(fds) }()
				grow := func(n int) {
					for range n {
						fds = append(fds, idleConnection(t, addr, len(fds), v, qos))
					}
				}
				grow(50)
				for i, fd := range fds {
					burst(t, fd, i, v, qos) // what is made once is there
				}
				before := liveHeap()
				grow(n)
				idle := (liveHeap() - before) / n
				for i, fd := range fds[50:] {
					burst(t, fd, 50+i, v, qos)
				}
				after := (liveHeap() - before) / n
				t.Logf("%d bytes a connection, %d after a burst", idle, after)
				if 100*after > (100+most)*idle {
					t.Errorf("%d bytes a connection, and %d after a burst, %d %% more; at most %d", idle, after, 100*(after-idle)/idle, most)
				}
			})
		}
	}
}

// burst publishes to the connection's own subscription, and returns when both ends have nothing more to say.
func burst(t *testing.T, fd, i int, v packet.Version, qos byte) {
	const messages = 20
	var out []byte
	p := &packet.Publish{Topic: fmt.Appendf(nil, "idle/%06d/cmd", i), Payload: make([]byte, 256), QoS: qos}
	for id := range uint16(messages) {
		p.PacketID = id + 1
		out = p.Append(out, v)
	}
	open := messages // flows that have not ended, in either direction
	if qos > 0 {
		open = 2 * messages
	}
	var in []byte
	for buf := make([]byte, 16<<10); open > 0; {
		if len(out) > 0 {
			send(t, fd, out)
		}
		out = out[:0]
		k, err := syscall.Read(fd, buf)
		if k <= 0 {
			t.Fatalf("%d flows are open: %v", open, err)
		}
		in = append(in, buf[:k]...)
		for {
			h, ok, err := packet.ReadHeader(in)
			if err != nil {
				t.Fatal(err)
			}
			if !ok || len(in) < h.Size+h.Remaining {
				break
			}
			body := in[h.Size : h.Size+h.Remaining]
			var ended bool
			if out, ended = answer(t, out, h, body, v); ended {
				open--
			}
			in = in[h.Size+h.Remaining:]
		}
	}
	send(t, fd, (&packet.Pingreq{}).Append(out, v))
	receivePacket(t, fd) // what was sent last has been handled
}

// answer appends the answer to a packet, if it has one, and reports whether it ended a flow.
func answer(t *testing.T, out []byte, h packet.Header, body []byte, v packet.Version) (_ []byte, ended bool) {
	if h.Type == packet.TypePublish {
		var p packet.Publish
		if err := p.Decode(h.Flags, body, v); err != nil {
			t.Fatal(err)
		}
		switch p.QoS {
		case 1:
			return packet.AppendAck(out, packet.TypePuback, p.PacketID), true
		case 2:
			return packet.AppendAck(out, packet.TypePubrec, p.PacketID), false
		}
		return out, true
	}
	id, _, ok := packet.ReadAck(body, v)
	if !ok {
		t.Fatalf("%v", h.Type)
	}
	switch h.Type {
	case packet.TypePubrec:
		return packet.AppendAck(out, packet.TypePubrel, id), false
	case packet.TypePubrel:
		return packet.AppendAck(out, packet.TypePubcomp, id), true
	}
	return out, true // PUBACK, PUBCOMP
}
