package client_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// peer is a server that does what the test says, over net.Pipe.
type peer struct {
	t       *testing.T
	conn    net.Conn
	buf     []byte
	v       packet.Version
	connect *packet.Connect // what came first [MQTT-3.1.0-1]
}

// connect dials a peer that answers CONNECT with answer. The test gets both ends.
func connect(t *testing.T, o client.Options, answer *packet.Connack) (*client.Client, *peer) {
	t.Helper()
	c, p, err := tryConnect(t, o, func(p *peer) { p.send(answer) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.conn.Close()
		c.Close()
	})
	return c, p
}

func tryConnect(t *testing.T, o client.Options, script func(p *peer)) (*client.Client, *peer, error) {
	t.Helper()
	near, far := net.Pipe()
	if o.Version == 0 {
		o.Version = packet.V5
	}
	p := &peer{t: t, conn: far, v: o.Version}
	o.Dial = func(context.Context, string, string) (net.Conn, error) { return near, nil }
	scripted := make(chan struct{})
	go func() {
		defer close(scripted)
		q := p.read()
		if p.connect, _ = q.(*packet.Connect); p.connect == nil {
			t.Errorf("the client sent %q first", text(q))
		}
		script(p)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.Dial(ctx, "mqtt://peer", o)
	<-scripted
	return c, p, err
}

func (p *peer) send(q packet.Packet) {
	p.t.Helper()
	p.conn.SetWriteDeadline(time.Now().Add(time.Minute))
	if _, err := p.conn.Write(q.Append(nil, p.v)); err != nil {
		p.t.Error("peer:", err)
	}
}

// read gives the next packet, nil at the end of the connection.
func (p *peer) read() packet.Packet {
	p.t.Helper()
	for {
		h, ok, err := packet.ReadHeader(p.buf)
		if err != nil {
			p.t.Fatal(err)
		}
		if ok && len(p.buf) >= h.Size+h.Remaining {
			q, err := packet.Decode(h, bytes.Clone(p.buf[h.Size:h.Size+h.Remaining]), p.v)
			if err != nil {
				p.t.Error("peer:", err)
			}
			p.buf = p.buf[h.Size+h.Remaining:]
			return q
		}
		b := make([]byte, 4096)
		p.conn.SetReadDeadline(time.Now().Add(10 * time.Minute))
		n, err := p.conn.Read(b)
		if err != nil {
			return nil
		}
		p.buf = append(p.buf, b[:n]...)
	}
}

// bytes gives the next n bytes.
func (p *peer) bytes(n int) string {
	p.t.Helper()
	for len(p.buf) < n {
		b := make([]byte, 4096)
		p.conn.SetReadDeadline(time.Now().Add(time.Minute))
		m, err := p.conn.Read(b)
		if err != nil {
			p.t.Fatalf("%v behind %x", err, p.buf)
		}
		p.buf = append(p.buf, b[:m]...)
	}
	got := string(p.buf[:n])
	p.buf = p.buf[n:]
	return got
}

// text is a packet in a line.
func text(q packet.Packet) string {
	switch q := q.(type) {
	case nil:
		return "end"
	case *packet.Publish:
		s := fmt.Sprintf("PUBLISH %d q%d %s %s", q.PacketID, q.QoS, q.Topic, q.Payload)
		if q.Dup {
			s += " dup"
		}
		if q.TopicAlias.Set {
			s += fmt.Sprintf(" alias %d", q.TopicAlias.Value)
		}
		return s
	case *packet.Puback:
		return fmt.Sprintf("PUBACK %d", q.PacketID)
	case *packet.Pubrec:
		return fmt.Sprintf("PUBREC %d", q.PacketID)
	case *packet.Pubrel:
		return fmt.Sprintf("PUBREL %d %02x", q.PacketID, byte(q.Code))
	case *packet.Pubcomp:
		return fmt.Sprintf("PUBCOMP %d %02x", q.PacketID, byte(q.Code))
	case *packet.Disconnect:
		return fmt.Sprintf("DISCONNECT %02x", byte(q.Code))
	case *packet.Auth:
		return fmt.Sprintf("AUTH %02x %s %s", byte(q.Code), q.AuthMethod.Value, q.AuthData)
	}
	return q.Type().String()
}

func (p *peer) expect(lines ...string) {
	p.t.Helper()
	for _, want := range lines {
		if got := text(p.read()); got != want {
			p.t.Errorf("the client sent %q, want %q", got, want)
		}
	}
}

func message(id uint16, qos byte, topic string) *packet.Publish {
	return &packet.Publish{PacketID: id, QoS: qos, Topic: []byte(topic), Payload: []byte("p")}
}

func ok() *packet.Connack { return &packet.Connack{} }
