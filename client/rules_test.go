package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// What the server has announced that it does not take is refused here, and is not sent [MQTT-3.2.2-11], [MQTT-3.2.2-14],
// [MQTT-3.2.2-15], [MQTT-3.2.2-18].
func TestServerLimits(t *testing.T) {
	c, p := connect(t, client.Options{TopicAliases: true}, &packet.Connack{
		MaximumQoS: packet.Some[byte](0), RetainAvailable: packet.Some[byte](0), MaximumPacketSize: packet.Some[uint32](20),
	})
	retained, large, aliased := message(0, 0, "a"), message(0, 0, "a"), message(0, 0, "a")
	retained.Retain, large.Payload, aliased.TopicAlias = true, make([]byte, 20), packet.Some[uint16](1)
	for _, tc := range []struct {
		m    *packet.Publish
		code packet.Code
	}{
		{message(0, 1, "a"), packet.QoSNotSupported},
		{retained, packet.RetainNotSupported},
		{large, packet.PacketTooLarge},
		{aliased, packet.TopicAliasInvalid},
	} {
		var e *client.Error
		if err := c.Publish(context.Background(), tc.m); !errors.As(err, &e) || e.Code != tc.code {
			t.Errorf("got %v, want %v", err, tc.code)
		}
	}
	for range 2 { // the second would go by its alias
		if err := c.Publish(context.Background(), message(0, 0, "fits")); err != nil {
			t.Error(err)
		}
	}
	p.expect("PUBLISH 0 q0 fits p", "PUBLISH 0 q0 fits p")
}

// A server that claims to know the session of a client that begins anew is left [MQTT-3.2.2-4], with nothing sent behind
// the DISCONNECT [MQTT-3.14.4-1], [MQTT-3.14.4-2].
func TestUnexpectedSession(t *testing.T) {
	_, _, err := tryConnect(t, client.Options{ClientID: "a"}, func(p *peer) {
		p.send(&packet.Connack{SessionPresent: true})
		p.expect("DISCONNECT 82", "end")
	})
	if err == nil {
		t.Error("accepted")
	}
}

// Without Resume the client asks for a clean start and has forgotten what it had [MQTT-3.1.2-4], [3.1.1: MQTT-3.1.2-6].
// With it the Client Identifier finds the session [MQTT-3.1.3-2], [3.1.1: MQTT-3.1.2-4].
func TestCleanStart(t *testing.T) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		o := client.Options{Version: v, ClientID: "r", Resume: true, Session: new(client.Session)}
		c, p := connect(t, o, ok())
		c.PublishAsync(context.Background(), message(0, 1, "old"), nil)
		p.expect("PUBLISH 1 q1 old p")
		p.conn.Close()
		<-c.Done()
		c, p = connect(t, o, &packet.Connack{SessionPresent: true})
		p.expect("PUBLISH 1 q1 old p dup")
		if k := p.connect; k.ClientID != "r" || k.CleanStart {
			t.Errorf("%v: %+v", v, k)
		}
		p.conn.Close()
		<-c.Done()
		o.Resume = false
		c, p = connect(t, o, ok())
		if k := p.connect; k.ClientID != "r" || !k.CleanStart {
			t.Errorf("%v: %+v", v, k)
		}
		c.PublishAsync(context.Background(), message(0, 0, "new"), nil)
		p.expect("PUBLISH 0 q0 new p")
	}
}

// Before 5.0 a session that goes on has a name [3.1.1: MQTT-3.1.3-7].
func TestSessionNeedsName(t *testing.T) {
	dialled := false
	o := client.Options{Version: packet.V311, Resume: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		dialled = true
		return nil, errors.New("no network")
	}}
	if _, err := client.Dial(context.Background(), "mqtt://x", o); err == nil || !strings.Contains(err.Error(), "ClientID") || dialled {
		t.Error(err, dialled)
	}
}

// What a Topic Alias stands for is forgotten with its connection, on both ways [MQTT-3.3.2-7].
func TestAliasesEnd(t *testing.T) {
	got := make(chan string, 3)
	o := client.Options{ClientID: "r", Resume: true, Session: new(client.Session), TopicAliases: true, TopicAliasMaximum: 5,
		Handler: func(_ context.Context, m *packet.Publish) { got <- string(m.Topic) }}
	answer := &packet.Connack{TopicAliasMaximum: packet.Some[uint16](5)}
	c, p := connect(t, o, answer)
	p.send(&packet.Publish{Topic: []byte("in"), PublishProperties: alias(1)})
	p.send(&packet.Publish{PublishProperties: alias(1)})
	want(t, got, "in")
	want(t, got, "in")
	for range 2 {
		c.PublishAsync(context.Background(), message(0, 1, "out"), nil)
	}
	p.expect("PUBLISH 1 q1 out p alias 1", "PUBLISH 2 q1  p alias 1")
	p.conn.Close()
	<-c.Done()
	again := *answer
	again.SessionPresent = true
	_, p = connect(t, o, &again)
	p.expect("PUBLISH 1 q1 out p dup", "PUBLISH 2 q1 out p dup")
	p.send(&packet.Publish{PublishProperties: alias(1)})
	p.expect("DISCONNECT 82", "end")
}

// A message that was sent is sent again to its end, though its expiry has passed [MQTT-4.3.3-7], [MQTT-4.3.3-13].
func TestExpiryAfterSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := client.Options{ClientID: "r", Resume: true, KeepAlive: -1, Session: new(client.Session)}
		c, p := connect(t, o, ok())
		m := message(0, 2, "a")
		m.MessageExpiry = packet.Some[uint32](5)
		c.PublishAsync(context.Background(), m, nil)
		p.expect("PUBLISH 1 q2 a p")
		p.conn.Close()
		<-c.Done()
		time.Sleep(time.Minute)
		_, p = connect(t, o, &packet.Connack{SessionPresent: true})
		p.expect("PUBLISH 1 q2 a p dup")
		p.send(&packet.Pubrec{PacketID: 1})
		p.expect("PUBREL 1 00")
	})
}

// A message that the server has refused is not sent again [MQTT-4.4.0-2].
func TestRefusedOnce(t *testing.T) {
	o := client.Options{ClientID: "r", Resume: true, Session: new(client.Session)}
	c, p := connect(t, o, ok())
	failed := make(chan error, 2)
	for _, qos := range []byte{1, 2} {
		c.PublishAsync(context.Background(), message(0, qos, "a"), func(_ packet.Ack, err error) { failed <- err })
	}
	p.expect("PUBLISH 1 q1 a p", "PUBLISH 2 q2 a p")
	p.send(&packet.Puback{PacketID: 1, Code: packet.QuotaExceeded})
	p.send(&packet.Pubrec{PacketID: 2, Code: packet.NotAuthorized})
	for range 2 {
		if <-failed == nil {
			t.Error("no error")
		}
	}
	p.conn.Close()
	<-c.Done()
	c, p = connect(t, o, &packet.Connack{SessionPresent: true})
	c.PublishAsync(context.Background(), message(0, 0, "next"), nil)
	p.expect("PUBLISH 0 q0 next p")
}

// Messages that no handler wants are acknowledged as their QoS asks, and with its bytes alone: no code, no Reason String,
// no User Properties [MQTT-4.5.0-2], [MQTT-3.3.4-1], [MQTT-2.2.1-5], [MQTT-3.4.2-2], [MQTT-3.4.2-3], [MQTT-3.5.2-2],
// [MQTT-3.5.2-3], [MQTT-3.6.2-2], [MQTT-3.6.2-3], [MQTT-3.7.2-2], [MQTT-3.7.2-3].
func TestAcknowledgementBytes(t *testing.T) {
	_, p := connect(t, client.Options{}, ok())
	for _, tc := range []struct {
		q      packet.Packet
		answer string
	}{
		{message(0x0102, 1, "a"), "\x40\x02\x01\x02"},
		{message(3, 2, "a"), "\x50\x02\x00\x03"},
		{&packet.Pubrel{PacketID: 3}, "\x70\x02\x00\x03"},
		{&packet.Pubrel{PacketID: 4}, "\x70\x03\x00\x04\x92"},
		{&packet.Pubrec{PacketID: 5}, "\x62\x03\x00\x05\x92"},
	} {
		p.send(tc.q)
		if got := p.bytes(len(tc.answer)); got != tc.answer {
			t.Errorf("%s: got %x, want %x", text(tc.q), got, tc.answer)
		}
	}
}

// PUBRELs leave in the order in which the PUBRECs came [MQTT-4.6.0-4].
func TestPubrelOrder(t *testing.T) {
	c, p := connect(t, client.Options{}, ok())
	for range 3 {
		c.PublishAsync(context.Background(), message(0, 2, "a"), nil)
	}
	p.expect("PUBLISH 1 q2 a p", "PUBLISH 2 q2 a p", "PUBLISH 3 q2 a p")
	go func() {
		for _, id := range []uint16{2, 3, 1} {
			p.send(&packet.Pubrec{PacketID: id})
		}
	}()
	p.expect("PUBREL 2 00", "PUBREL 3 00", "PUBREL 1 00")
}

// A re-authentication that fails ends the connection [MQTT-4.12.1-2]; the answers before it have no more than method and
// data [MQTT-3.15.2-2], [MQTT-3.15.2-3]. A client without a method sends no AUTH [MQTT-4.12.0-7].
func TestReauthenticationFails(t *testing.T) {
	c, p, err := tryConnect(t, client.Options{Auth: &countingAuth{}}, func(p *peer) {
		p.send(&packet.Connack{AuthMethod: packet.Some("count")})
	})
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- c.Reauthenticate(context.Background()) }()
	p.expect("AUTH 19 count 2")
	p.send(&packet.Auth{Code: packet.ContinueAuthentication, AuthMethod: packet.Some("count"), AuthData: []byte("x")})
	if want := "\xf0\x0f\x18\x0d\x15\x00\x05count\x16\x00\x02x+"; p.bytes(len(want)) != want {
		t.Error("AUTH has other bytes")
	}
	p.send(&packet.Auth{Code: packet.ContinueAuthentication, AuthMethod: packet.Some("count"), AuthData: []byte("bad")})
	p.expect("end")
	if err := <-failed; err == nil {
		t.Error("no error")
	}
	<-c.Done()
	p.conn.Close()

	c, p = connect(t, client.Options{}, ok())
	if c.Reauthenticate(context.Background()) == nil {
		t.Error("re-authenticated without a method")
	}
	c.PublishAsync(context.Background(), message(0, 0, "next"), nil)
	p.expect("PUBLISH 0 q0 next p")
}

// A DISCONNECT leaves its texts away where they make it too large [MQTT-3.14.2-3], [MQTT-3.14.2-4], and is the last
// packet [MQTT-3.14.4-1] before the connection is closed [MQTT-3.14.4-2], [MQTT-4.13.2-1].
func TestDisconnectFits(t *testing.T) {
	for size, says := range map[uint32]bool{20: false, 200: true} {
		c, p := connect(t, client.Options{}, &packet.Connack{MaximumPacketSize: packet.Some(size)})
		d := &packet.Disconnect{Code: packet.UnspecifiedError, ReasonString: packet.Some("the roof is on fire"),
			User: []packet.UserProperty{{Key: "floor", Value: "3"}}}
		go c.Disconnect(context.Background(), d)
		got, ok := p.read().(*packet.Disconnect)
		if !ok || got.Code != d.Code || got.ReasonString.Set != says || len(got.User) > 0 != says {
			t.Errorf("maximum %d: got %+v", size, got)
		}
		p.expect("end")
		<-c.Done()
	}
}

// No Local with a shared subscription is refused before it is sent [MQTT-3.8.3-4].
func TestNoLocalShared(t *testing.T) {
	c, p := connect(t, client.Options{}, ok())
	s := client.To("$share/g/a", 1)
	s.Filters[0].NoLocal = true
	if _, err := c.Subscribe(context.Background(), s, nil); err == nil {
		t.Error("no error")
	}
	c.PublishAsync(context.Background(), message(0, 0, "next"), nil)
	p.expect("PUBLISH 0 q0 next p")
}

// Before 5.0 a breach of the protocol ends the connection without a word [3.1.1: MQTT-4.8.0-1].
func TestViolation311(t *testing.T) {
	c, p := connect(t, client.Options{Version: packet.V311}, ok())
	p.send(new(packet.Pingreq))
	p.expect("end")
	<-c.Done()
	var e *packet.Error
	if !errors.As(c.Err(), &e) {
		t.Error(c.Err())
	}
}

// Over WebSocket the client offers the subprotocol mqtt [MQTT-6.0.0-3] and requires it [MQTT-6.0.0-4], sends binary frames,
// and takes packets however they are cut [MQTT-6.0.0-2]. Text ends the connection [MQTT-6.0.0-1].
func TestWebSocketFrames(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	far.SetDeadline(time.Now().Add(time.Minute))
	frame := func() []byte {
		h, err := ws.ReadHeader(far)
		if err != nil || h.OpCode != ws.OpBinary || h.Length > 1000 {
			t.Fatalf("frame %+v: %v", h, err)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(far, payload); err != nil {
			t.Fatal(err)
		}
		ws.Cipher(payload, h.Mask, 0)
		return payload
	}
	send := func(f ws.Frame) {
		if _, err := far.Write(ws.MustCompileFrame(f)); err != nil {
			t.Error(err)
		}
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		offered := ""
		u := ws.Upgrader{Protocol: func(name []byte) bool { offered = string(name); return offered == "mqtt" }}
		if _, err := u.Upgrade(far); err != nil || offered != "mqtt" {
			t.Errorf("offered %q: %v", offered, err)
		}
		if b := frame(); !bytes.Contains(b, []byte("\x00\x04MQTT\x05")) {
			t.Errorf("CONNECT is %x", b)
		}
		ack := ok().Append(nil, packet.V5)
		send(ws.NewBinaryFrame(ack[:1]))
		both := message(1, 1, "a").Append(ack[1:], packet.V5)
		send(ws.NewBinaryFrame(both))
	}()
	o := client.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
	c, err := client.Dial(context.Background(), "ws://peer/mqtt", o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-served
	if b := frame(); string(b) != "\x40\x02\x00\x01" {
		t.Errorf("PUBACK is %x", b)
	}
	send(ws.NewTextFrame([]byte("\x30\x04\x00\x01a\x00")))
	<-c.Done()
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "text") {
		t.Error(err)
	}
}
