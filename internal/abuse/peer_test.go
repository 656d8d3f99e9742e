package abuse

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
)

// long is for what has to happen, on any machine.
const long = time.Minute

// start runs a broker until the test ends and returns it and its address.
func start(t testing.TB, cfg broker.Config) (*broker.Broker, string) {
	t.Helper()
	if cfg.SysInterval == 0 {
		cfg.SysInterval = -1
	}
	if cfg.Listeners == nil {
		cfg.Listeners = []broker.Listener{{Anonymous: true}}
	}
	for i := range cfg.Listeners {
		cfg.Listeners[i].Address = "127.0.0.1:0"
	}
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
	return b, b.Addrs()[0].String()
}

// peer is one end of a connection, which does what it is told.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	v    packet.Version
}

func dial(t testing.TB, addr string, v packet.Version) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(long))
	return &peer{t, conn, bufio.NewReaderSize(conn, 16), v}
}

// join connects as a client with a new session.
func join(t testing.TB, addr string, v packet.Version, id string) *peer {
	t.Helper()
	return joinAs(t, addr, &packet.Connect{Version: v, ClientID: id, CleanStart: true})
}

func joinAs(t testing.TB, addr string, k *packet.Connect) *peer {
	t.Helper()
	p := dial(t, addr, k.Version)
	p.send(k)
	if ack := p.want(packet.TypeConnack).(*packet.Connack); ack.Code != packet.Success {
		t.Fatalf("%s is refused: %v", k.ClientID, ack.Code)
	}
	return p
}

// write sends bytes. What the broker has closed meanwhile is no failure of the test.
func (p *peer) write(b []byte) { _, _ = p.conn.Write(b) }

// raw sends bytes that are written as hexadecimal digits, with text in quotes
// among them.
func (p *peer) raw(text string) { p.write(bytesOf(text)) }

func bytesOf(text string) (out []byte) {
	for i, part := range strings.Split(text, "'") {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			panic(err)
		}
		out = append(out, b...)
	}
	return out
}

func (p *peer) send(list ...packet.Packet) {
	var out []byte
	for _, k := range list {
		out = k.Append(out, p.v)
	}
	p.write(out)
}

func (p *peer) subscribe(qos byte, filters ...string) []packet.Code {
	p.t.Helper()
	k := &packet.Subscribe{PacketID: 1}
	for _, f := range filters {
		k.Filters = append(k.Filters, packet.SubscribeFilter{Filter: f, Options: packet.Options{QoS: qos}})
	}
	p.send(k)
	return p.want(packet.TypeSuback).(*packet.Suback).Codes
}

// publish sends a message of QoS 1 and returns how it is acknowledged.
func (p *peer) publish(name, payload string, retain bool) packet.Code {
	p.t.Helper()
	p.send(&packet.Publish{Topic: []byte(name), Payload: []byte(payload), QoS: 1, PacketID: 1, Retain: retain})
	return p.want(packet.TypePuback).(*packet.Puback).Code
}

// hears expects these messages next, "topic payload", and nothing but them before
// the answer to a PINGREQ.
func (p *peer) hears(want ...string) {
	p.t.Helper()
	p.send(&packet.Pingreq{})
	var got []string
	for {
		switch k := p.next().(type) {
		case *packet.Publish:
			got = append(got, string(k.Topic)+" "+string(k.Payload))
			if k.QoS == 1 {
				p.send(&packet.Puback{PacketID: k.PacketID})
			}
		case *packet.Pingresp:
			if strings.Join(got, ", ") != strings.Join(want, ", ") {
				p.t.Errorf("received %q, want %q", got, want)
			}
			return
		default:
			p.t.Fatalf("%v came", k.Type())
		}
	}
}

func (p *peer) want(want packet.Type) packet.Packet {
	p.t.Helper()
	k := p.next()
	if k.Type() != want {
		p.t.Fatalf("%v came, want %v", k.Type(), want)
	}
	return k
}

func (p *peer) next() packet.Packet {
	p.t.Helper()
	k, err := p.read()
	if err != nil {
		p.t.Fatal("wait for a packet: ", err)
	}
	return k
}

func (p *peer) read() (packet.Packet, error) {
	for n := 2; ; n++ {
		head, err := p.r.Peek(n)
		if err != nil {
			return nil, err
		}
		h, ok, err := packet.ReadHeader(head)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		raw := make([]byte, h.Size+h.Remaining)
		if _, err := io.ReadFull(p.r, raw); err != nil {
			return nil, err
		}
		return packet.Decode(h, raw[h.Size:], p.v)
	}
}

// ended expects that the broker closes the connection: after a DISCONNECT with the
// code in 5.0, without a word before.
func (p *peer) ended(code packet.Code) {
	p.t.Helper()
	k, err := p.read()
	if p.v >= packet.V5 {
		d, ok := k.(*packet.Disconnect)
		if !ok || d.Code != code {
			p.t.Fatalf("%v, %v came, want DISCONNECT with %v", k, err, code)
		}
		k, err = p.read()
	}
	if err == nil {
		p.t.Fatalf("%v came, want the end", k.Type())
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Fatal("the connection is open")
	}
}

// closed expects the end, without a word.
func (p *peer) closed() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.r); len(rest) > 0 || errors.Is(err, errTimeout(err)) {
		p.t.Fatalf("%x, %v came, want the end", rest, err)
	}
}

// errTimeout is err if it is a deadline that has passed.
func errTimeout(err error) error {
	if e := net.Error(nil); errors.As(err, &e) && e.Timeout() {
		return err
	}
	return errors.New("another error")
}

// alive expects that the connection works.
func (p *peer) alive() {
	p.t.Helper()
	p.hears()
}

// sink keeps what is logged.
type sink struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *sink) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(strings.TrimSuffix(s.text.String(), "\n"), "\n")
}

func (s *sink) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(s, nil)) }
