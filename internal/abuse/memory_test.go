package abuse

import (
	"bytes"
	"net"
	"runtime"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// TestMemoryFollowsWhatCame: a length costs nothing, the bytes that have come cost
// a small multiple of what they are, for buffers have four sizes. Hundreds of connections announce as much as they may
// and send some bytes of it.
func TestMemoryFollowsWhatCame(t *testing.T) {
	const crowd, perConnection, slack = 200, 2 << 10, 1 << 20
	const huge = "ff ff ff 03" // 8 MiB, less one byte
	hello := (&packet.Connect{Version: packet.V5, CleanStart: true}).Append(nil, packet.V5)
	for _, tc := range []struct {
		name   string
		before string // sent and answered before memory is measured
		part   string
		more   int // bytes behind it
		web    bool
	}{
		{"CONNECT", "", "10 ff ff 02 0004 'MQTT' 05 02 0000 ff ff 02", 0, false},
		{"a string in CONNECT", "", "10 ff ff 02 0004 'MQTT' 05 02 0000 00 ffff 'abc'", 0, false},
		{"PUBLISH", string(hello), "30 " + huge + " 0001 't' 00 'abc'", 0, false},
		{"PUBLISH with a long topic", string(hello), "30 " + huge + " ffff 'abc'", 0, false},
		{"properties", string(hello), "32 " + huge + " 0001 't' 0001 " + huge + " 26 ffff 'a'", 0, false},
		{"SUBSCRIBE", string(hello), "82 " + huge + " 0001 00 0003 'a/b' 00 ffff 'c'", 0, false},
		{"AUTH", string(hello), "f0 " + huge + " 18 " + huge, 0, false},
		{"a WebSocket frame", webUpgrade, "82 ff 7fffffff ffffffff 00000000 10 ff ff 02 0004", 0, true},
		{"a WebSocket control frame", webUpgrade, "89 fe 007d 00000000", 0, true},
		{"20 KiB of a PUBLISH", string(hello), "30 " + huge + " 0001 't' 00", 20 << 10, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, addr := start(t, broker.Config{Loops: 1, Listeners: []broker.Listener{{Anonymous: true, WebSocket: tc.web}}})
			part := append(bytesOf(tc.part), bytes.Repeat([]byte{'x'}, tc.more)...)
			conns := make([]net.Conn, crowd)
			for i := range conns {
				conns[i] = dial(t, addr, packet.V5).conn
				if tc.before != "" {
					conns[i].Write([]byte(tc.before))
					answer := make([]byte, 1)
					if _, err := conns[i].Read(answer); err != nil {
						t.Fatal(err)
					}
				}
			}
			base := inUse()
			for _, c := range conns {
				if _, err := c.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			// The loop takes what came first: when this one is answered, all were read.
			last := dial(t, addr, packet.V5)
			if tc.web {
				last.write([]byte(webUpgrade))
			} else {
				last.write(hello)
			}
			if _, err := last.r.ReadByte(); err != nil {
				t.Fatal(err)
			}
			if more, most := inUse()-base, crowd*(perConnection+4*tc.more)+slack; more > most {
				t.Errorf("%d bytes more are in use after %d were sent; allowed are %d", more, crowd*len(part), most)
			}
			runtime.KeepAlive(conns)
		})
	}
}

const webUpgrade = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

func inUse() int {
	runtime.GC()
	runtime.GC() // what the pools gave up in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
