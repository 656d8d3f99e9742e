package bridge_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/bridge"
	"github.com/nightjarmq/nightjar/packet"
)

// runFussy runs a server that hangs up on every message, until it is told not to.
func runFussy(t *testing.T) (addr string, content *atomic.Bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	content = new(atomic.Bool)
	go func() {
		for present := false; ; present = true {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go fussy(conn, present, content)
		}
	}()
	return l.Addr().String(), content
}

// fussy is one connection; present says that there is a session.
func fussy(conn net.Conn, present bool, content *atomic.Bool) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		h, ok := packet.Header{}, false
		for head := []byte(nil); !ok; {
			b, err := r.ReadByte()
			if err != nil {
				return
			}
			head = append(head, b)
			if h, ok, err = packet.ReadHeader(head); err != nil {
				return
			}
		}
		body := make([]byte, h.Remaining)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		switch h.Type {
		case packet.TypeConnect:
			conn.Write((&packet.Connack{SessionPresent: present}).Append(nil, packet.V5))
		case packet.TypePublish:
			var p packet.Publish
			if p.Decode(h.Flags, body, packet.V5) != nil {
				return
			}
			if !content.Load() {
				d := packet.Disconnect{Code: packet.PayloadFormatInvalid}
				d.ReasonString = packet.Some("no poetry")
				conn.Write(d.Append(nil, packet.V5))
				return
			}
			conn.Write((&packet.Puback{PacketID: p.PacketID}).Append(nil, packet.V5))
		}
	}
}

// Over which message the remote ends connections is told, in the log and as a number that is 0 again when the remote takes it.
// Nothing is given up.
func TestStuck(t *testing.T) {
	here := runNode(t)
	addr, content := runFussy(t)
	var log bytes.Buffer
	connected := make(chan struct{}, 1000)
	b := bridge.New(bridge.Config{
		Name: "far", ID: "here", Servers: []bridge.Server{{Address: addr}}, RemoteClientID: "r", LocalClientID: "l", Version: packet.V5,
		Topics:    []bridge.Topic{{Pattern: "#", Out: true, QoS: 1, RemotePrefix: "home/"}},
		Connected: func() { connected <- struct{}{} }, Restart: bridge.Backoff{Base: 10 * time.Millisecond},
	}, here, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Run(ctx)
	}()
	stop := func() { cancel(); <-ended }
	t.Cleanup(stop)
	select {
	case <-connected:
	case <-time.After(patience):
		t.Fatal("the bridge does not connect")
	}
	send(t, here.addr, "poem", "O rose", 1, false)
	send(t, here.addr, "later", "", 1, false)
	const told = "$SYS/broker/bridge/far/messages/"
	stuck, sent := inbox(t, here.addr, told+"stuck"), inbox(t, here.addr, told+"sent")
	for s := ""; s == "" || s == told+"stuck 0 retained"; {
		select {
		case s = <-stuck:
		case <-time.After(patience):
			t.Fatal("nothing is stuck")
		}
	}
	content.Store(true)
	await(t, stuck, told+"stuck 0 retained")
	await(t, sent, told+"sent 2 retained")
	stop()
	if s := b.State(); s.Stuck != 0 || s.Sent != 2 {
		t.Errorf("%+v", s)
	}
	for _, part := range []string{"end over a message", "topic=home/poem qos=1 payload=6 times=3", "payload format invalid: no poetry"} {
		if !strings.Contains(strings.ToLower(log.String()), part) {
			t.Errorf("the log does not say %q", part)
		}
	}
	if t.Failed() {
		t.Log(log.String()[:min(log.Len(), 4000)])
	}
}
