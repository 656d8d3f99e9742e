package broker

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// slowly is an Access that allows everything, tells of each message that is published, and stops the first one.
type slowly struct{ asked, open chan struct{} }

func (s slowly) Publish(_ *Client, name []byte, _ byte, _ bool) bool {
	s.asked <- struct{}{}
	if string(name) == "a/1" {
		<-s.open
	}
	return true
}
func (slowly) Subscribe(*Client, topic.Filter, byte) bool { return true }
func (slowly) Receive(*Client, []byte) bool               { return true }

// TestTakeoverKeepsOrder: what a client sends by a new connection stays behind what it sent by the one before, even when that
// is not done with yet when the new one comes. [MQTT-4.6.0-5] [MQTT-3.1.4-3]
func TestTakeoverKeepsOrder(t *testing.T) {
	for qos := range byte(3) {
		s := slowly{make(chan struct{}, 2), make(chan struct{})}
		b, stop := run(t, Config{Access: s})
		defer stop()
		sub := pipe(t, b)
		exchange(t, sub, &packet.Connect{Version: packet.V5, CleanStart: true, ClientID: "sub"}, "")
		read(t, sub)
		exchange(t, sub, &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "a/#"}}}, "\x90\x04\x00\x01\x00\x00")
		publish := func(name string, id uint16) {
			c := pipe(t, b)
			p := &packet.Connect{Version: packet.V5, ClientID: "pub", SessionExpiry: packet.Some[uint32](60)}
			k := &packet.Publish{Topic: []byte(name), QoS: qos}
			if qos > 0 {
				k.PacketID = id
			}
			if _, err := c.Write(k.Append(p.Append(nil, packet.V5), packet.V5)); err != nil {
				t.Fatal(err)
			}
		}
		publish("a/1", 1)
		<-s.asked
		publish("a/2", 2)
		select {
		case <-s.asked:
			t.Errorf("QoS %d: the second message does not wait for the first", qos)
		case <-time.After(200 * time.Millisecond): // and so it waits
		}
		close(s.open)
		for _, want := range []string{"a/1", "a/2"} {
			if p := read(t, sub).(*packet.Publish); string(p.Topic) != want {
				t.Errorf("QoS %d: got %s, want %s", qos, p.Topic, want)
			}
		}
	}
}

// TestReturnWaitsForWill: a client that comes back while its will is being published is let in when that is done: its
// connection takes the will's place in the store. So is one that takes over, and the next. [MQTT-3.1.2-8] [MQTT-3.1.3-9]
func TestReturnWaitsForWill(t *testing.T) {
	for _, hangsUp := range []bool{true, false} {
		s := slowly{make(chan struct{}, 2), make(chan struct{})}
		b, stop := run(t, Config{Access: s})
		defer stop()
		k := &packet.Connect{Version: packet.V5, ClientID: "c", SessionExpiry: packet.Some[uint32](60)}
		back := k.Append(nil, packet.V5)
		k.Will = &packet.Will{Topic: "a/1", QoS: 1}
		old := pipe(t, b)
		exchange(t, old, k, "")
		read(t, old)
		if hangsUp {
			old.Close()
			<-s.asked
		}
		conns := []net.Conn{pipe(t, b), pipe(t, b)}
		for _, c := range conns {
			if _, err := c.Write(back); err != nil {
				t.Fatal(err)
			}
		}
		if !hangsUp {
			<-s.asked
		}
		for _, c := range conns {
			c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // and so it waits
			if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("hangs up: %v: the client does not wait for its will: %v", hangsUp, err)
			}
			c.SetReadDeadline(time.Now().Add(time.Minute))
		}
		close(s.open)
		for _, c := range conns {
			if ack := read(t, c).(*packet.Connack); ack.Code != packet.Success || !ack.SessionPresent {
				t.Errorf("hangs up: %v: got %+v", hangsUp, ack)
			}
		}
		for _, c := range append(conns, old) {
			c.Close()
		}
	}
}
