package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// CONNACK refusals carry code, reason and another server.
func TestConnectRefused(t *testing.T) {
	_, _, err := tryConnect(t, client.Options{}, func(p *peer) {
		p.send(&packet.Connack{Code: packet.UseAnotherServer, ReasonString: packet.Some("moving"), ServerReference: packet.Some("there")})
	})
	var e *client.Error
	if !errors.As(err, &e) || e.Code != packet.UseAnotherServer || e.Reason != "moving" || e.ServerReference != "there" {
		t.Error(err)
	}
}

// What a server may not do ends the connection with the right DISCONNECT.
// [MQTT-4.13.2-1]
func TestServerViolations(t *testing.T) {
	for name, test := range map[string]struct {
		o    client.Options
		send []packet.Packet
		code packet.Code
	}{
		"alias above maximum": {client.Options{TopicAliasMaximum: 2}, []packet.Packet{&packet.Publish{Topic: []byte("a"), PublishProperties: alias(3)}}, packet.TopicAliasInvalid}, // [MQTT-3.1.2-26]
		"alias never set":     {client.Options{TopicAliasMaximum: 2}, []packet.Packet{&packet.Publish{PublishProperties: alias(1)}}, packet.ProtocolError},                         // 3.3.2.3.4
		"receive maximum":     {client.Options{ReceiveMaximum: 2}, []packet.Packet{message(1, 2, "a"), message(2, 2, "a"), message(3, 2, "a")}, packet.ReceiveMaximumExceeded},     // [MQTT-3.3.4-9]
		"packet too large":    {client.Options{MaximumPacketSize: 20}, []packet.Packet{message(1, 1, strings.Repeat("x", 30))}, packet.PacketTooLarge},                             // [MQTT-3.1.2-24]
		"wildcard in topic":   {client.Options{}, []packet.Packet{message(1, 1, "a/#")}, packet.TopicNameInvalid},                                                                  // [MQTT-3.3.2-2]
		"packet of a client":  {client.Options{}, []packet.Packet{&packet.Pingreq{}}, packet.ProtocolError},                                                                        // 4.13.1
		"AUTH without method": {client.Options{}, []packet.Packet{&packet.Auth{Code: packet.ContinueAuthentication, AuthMethod: packet.Some("m")}}, packet.ProtocolError},          // [MQTT-4.12.0-6]
		"second CONNACK":      {client.Options{}, []packet.Packet{&packet.Connack{}}, packet.ProtocolError},                                                                        // [MQTT-3.2.0-2]
	} {
		t.Run(name, func(t *testing.T) {
			c, p := connect(t, test.o, ok())
			go func() {
				for _, q := range test.send {
					p.conn.Write(q.Append(nil, p.v))
				}
			}()
			for {
				got := text(p.read())
				if strings.HasPrefix(got, "PUBREC") {
					continue
				}
				if want := text(&packet.Disconnect{Code: test.code}); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				break
			}
			p.expect("end")
			<-c.Done()
			var e *packet.Error
			if !errors.As(c.Err(), &e) || e.Code != test.code {
				t.Error(c.Err())
			}
		})
	}
}

// DISCONNECT of the server ends everything with its reason, and fails what was under way.
func TestServerDisconnects(t *testing.T) {
	c, p := connect(t, client.Options{}, ok())
	failed := make(chan error, 1)
	go func() { failed <- c.Publish(context.Background(), message(0, 1, "a")) }()
	p.expect("PUBLISH 1 q1 a p")
	p.send(&packet.Disconnect{Code: packet.ServerShuttingDown, ReasonString: packet.Some("night")})
	var e *client.Error
	if err := <-failed; !errors.As(err, &e) || e.Code != packet.ServerShuttingDown || e.Reason != "night" {
		t.Error(err)
	}
	<-c.Done()
	if !errors.As(c.Err(), &e) || e.Op != "disconnected by server" {
		t.Error(c.Err())
	}
}

// Acknowledgements leave in the order of the messages, a QoS 2 message is handed over once however often it is sent, and
// its number may be used again afterwards [MQTT-4.6.0-2], [MQTT-4.3.3-10], [MQTT-4.3.3-12].
// [MQTT-2.2.1-5] [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.2-5] [MQTT-4.3.3-8] [MQTT-4.3.3-11]
func TestInboundQoS(t *testing.T) {
	var got []string // written by the reading goroutine only, read after Done
	c, p := connect(t, client.Options{Handler: func(_ context.Context, m *packet.Publish) { got = append(got, text(m)) }}, ok())
	step := func(q packet.Packet, answer string) { p.send(q); p.expect(answer) }
	step(message(5, 1, "a"), "PUBACK 5")
	step(message(4, 1, "b"), "PUBACK 4")
	step(message(7, 2, "c"), "PUBREC 7")
	again := message(7, 2, "c")
	again.Dup = true
	step(again, "PUBREC 7")
	step(message(5, 1, "d"), "PUBACK 5")
	step(&packet.Pubrel{PacketID: 7}, "PUBCOMP 7 00")
	step(&packet.Pubrel{PacketID: 7}, "PUBCOMP 7 92")
	step(message(7, 2, "e"), "PUBREC 7")
	p.conn.Close()
	<-c.Done()
	want := "PUBLISH 5 q1 a p,PUBLISH 4 q1 b p,PUBLISH 7 q2 c p,PUBLISH 5 q1 d p,PUBLISH 7 q2 e p"
	if s := strings.Join(got, ","); s != want {
		t.Errorf("got %s\nwant %s", s, want)
	}
}

// Inbound topic aliases stand for their topics [MQTT-3.3.2-10], and may be set anew.
func TestInboundAliases(t *testing.T) {
	got := make(chan string, 10)
	_, p := connect(t, client.Options{TopicAliasMaximum: 2, Handler: func(_ context.Context, m *packet.Publish) { got <- string(m.Topic) }}, ok())
	for _, s := range []struct {
		topic string
		alias uint16
	}{{"one", 1}, {"", 1}, {"two", 2}, {"", 1}, {"three", 1}, {"", 1}, {"", 2}} {
		p.send(&packet.Publish{Topic: []byte(s.topic), PublishProperties: alias(s.alias)})
	}
	for _, name := range []string{"one", "one", "two", "one", "three", "three", "two"} {
		want(t, got, name)
	}
}

// The server's Receive Maximum bounds what is in flight, whatever else is sent [MQTT-4.9.0-2], [MQTT-4.9.0-3]. A failed
// PUBREC gives the place back.
// [MQTT-3.3.4-7] [MQTT-3.3.4-8] [MQTT-4.9.0-1] [MQTT-4.3.3-2] [MQTT-4.3.3-4]
func TestSendQuota(t *testing.T) {
	c, p := connect(t, client.Options{}, &packet.Connack{ReceiveMaximum: packet.Some[uint16](2)})
	errs := make(chan error, 3)
	publish := func(name string) {
		err := c.PublishAsync(context.Background(), message(0, 2, name), func(_ packet.Ack, err error) { errs <- err })
		if err != nil {
			t.Error(err)
		}
	}
	publish("a")
	publish("b")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.PublishAsync(ctx, message(0, 1, "c"), nil); !errors.Is(err, context.Canceled) {
		t.Error("a third message should wait:", err)
	}
	go publish("d")
	p.expect("PUBLISH 1 q2 a p", "PUBLISH 2 q2 b p")
	p.send(&packet.Pubrec{PacketID: 1})
	p.expect("PUBREL 1 00")
	p.send(&packet.Pubrec{PacketID: 2, Code: packet.QuotaExceeded, ReasonString: packet.Some("full")})
	var e *client.Error
	if err := <-errs; !errors.As(err, &e) || e.Code != packet.QuotaExceeded || e.Reason != "full" {
		t.Error(err)
	}
	p.expect("PUBLISH 3 q2 d p")
	p.send(&packet.Pubcomp{PacketID: 1})
	if err := <-errs; err != nil {
		t.Error(err)
	}
	p.send(&packet.Pubrec{PacketID: 9}) // nobody knows it
	p.expect("PUBREL 9 92")
}

// After a lost connection PUBLISH goes out again with DUP, PUBREL without, in the original order and within the new quota
// [MQTT-4.4.0-1], [MQTT-3.3.1-1], [MQTT-4.6.0-1].
// [MQTT-3.1.2-23] [MQTT-3.3.1-3] [MQTT-4.3.2-2] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5]
// [MQTT-4.3.3-6]
func TestResend(t *testing.T) {
	s := new(client.Session)
	o := client.Options{ClientID: "r", Resume: true, Session: s}
	c, p := connect(t, o, ok())
	for i, qos := range []byte{2, 1, 2, 1} {
		if err := c.PublishAsync(context.Background(), message(0, qos, fmt.Sprint("t", i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	p.expect("PUBLISH 1 q2 t0 p", "PUBLISH 2 q1 t1 p", "PUBLISH 3 q2 t2 p", "PUBLISH 4 q1 t3 p")
	if _, err := client.Dial(context.Background(), "mqtt://x", o); !errors.Is(err, client.ErrSessionInUse) {
		t.Error(err)
	}
	p.send(&packet.Pubrec{PacketID: 1})
	p.expect("PUBREL 1 00")
	p.conn.Close()
	<-c.Done()
	if s.Pending() != 4 {
		t.Error("pending:", s.Pending())
	}
	_, p = connect(t, o, &packet.Connack{SessionPresent: true, ReceiveMaximum: packet.Some[uint16](2)})
	p.expect("PUBREL 1 00", "PUBLISH 2 q1 t1 p dup")
	p.send(&packet.Pubcomp{PacketID: 1})
	p.expect("PUBLISH 3 q2 t2 p dup")
	p.send(&packet.Puback{PacketID: 2})
	p.expect("PUBLISH 4 q1 t3 p dup")
}

// A server without the session makes the client forget it [MQTT-3.2.2-5].
func TestSessionLost(t *testing.T) {
	o := client.Options{ClientID: "r", Resume: true, Session: new(client.Session)}
	c, p := connect(t, o, ok())
	c.PublishAsync(context.Background(), message(0, 1, "old"), nil)
	p.expect("PUBLISH 1 q1 old p")
	p.conn.Close()
	<-c.Done()
	c, p = connect(t, o, ok())
	c.PublishAsync(context.Background(), message(0, 1, "new"), nil)
	p.expect("PUBLISH 2 q1 new p")
}

// A handler that would wait for its own client is told so, and may say goodbye: its message is acknowledged first.
func TestInsideHandler(t *testing.T) {
	errs := make(chan error, 4)
	c, p := connect(t, client.Options{Handler: func(ctx context.Context, m *packet.Publish) {
		c := client.FromContext(ctx)
		errs <- c.Publish(ctx, message(0, 1, "x"))
		_, err := c.Subscribe(ctx, client.To("x", 0), nil)
		errs <- err
		errs <- c.Publish(ctx, message(0, 0, "allowed"))
		errs <- c.Disconnect(ctx, &packet.Disconnect{Code: packet.DisconnectWithWill})
	}}, ok())
	p.send(message(1, 1, "a"))
	p.expect("PUBLISH 0 q0 allowed p", "PUBACK 1", "DISCONNECT 04", "end")
	<-c.Done()
	for i, want := range []error{client.ErrInHandler, client.ErrInHandler, nil, nil} {
		if err := <-errs; !errors.Is(err, want) {
			t.Error(i, err)
		}
	}
	if !errors.Is(c.Err(), client.ErrClosed) {
		t.Error(c.Err())
	}
}

// countingAuth answers n with n+1.
type countingAuth struct{ n int }

func (a *countingAuth) Method() string { return "count" }
func (a *countingAuth) Start() ([]byte, error) {
	a.n++
	return fmt.Append(nil, a.n), nil
}
func (a *countingAuth) Continue(_ context.Context, data []byte) ([]byte, error) {
	if string(data) == "bad" {
		return nil, errors.New("bad data")
	}
	return append(data, '+'), nil
}

// Extended authentication: at the start, again later, and refused [MQTT-4.12.0-3], [MQTT-4.12.1-1].
// Until CONNACK nothing else is sent [MQTT-3.1.2-30].
func TestAuth(t *testing.T) {
	ask := func(data string) *packet.Auth {
		return &packet.Auth{Code: packet.ContinueAuthentication, AuthMethod: packet.Some("count"), AuthData: []byte(data)}
	}
	c, p, err := tryConnect(t, client.Options{Auth: &countingAuth{}}, func(p *peer) {
		p.send(ask("x"))
		p.expect("AUTH 18 count x+")
		p.send(&packet.Connack{AuthMethod: packet.Some("count")})
	})
	if err != nil {
		t.Fatal(err)
	}
	again := make(chan error, 1)
	go func() { again <- c.Reauthenticate(context.Background()) }()
	p.expect("AUTH 19 count 2")
	p.send(ask("y"))
	p.expect("AUTH 18 count y+")
	p.send(&packet.Auth{Code: packet.Success, AuthMethod: packet.Some("count")})
	if err := <-again; err != nil {
		t.Error(err)
	}
	p.conn.Close()
	c.Close()
	_, p, err = tryConnect(t, client.Options{Auth: &countingAuth{}}, func(p *peer) { p.send(ask("bad")) })
	p.expect("end")
	if err == nil || !strings.Contains(err.Error(), "bad data") {
		t.Error(err)
	}
}

// PINGREQ goes out when nothing else does [MQTT-3.1.2-20], with the server's interval [MQTT-3.1.2-21], and a server that
// does not answer is given up after half an interval.
// [MQTT-3.2.2-21]
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connect(t, client.Options{KeepAlive: time.Hour}, &packet.Connack{ServerKeepAlive: packet.Some[uint16](10)})
		start := time.Now()
		for i := range 3 {
			p.expect("PINGREQ")
			if d := time.Since(start); d != time.Duration(i+1)*10*time.Second {
				t.Error("PINGREQ after", d)
			}
			p.send(new(packet.Pingresp))
		}
		p.expect("PINGREQ", "end")
		<-c.Done()
		if d := time.Since(start); d != 45*time.Second {
			t.Error("given up after", d)
		}
		var timeout net.Error
		if !errors.As(c.Err(), &timeout) || !timeout.Timeout() {
			t.Error(c.Err())
		}
	})
}

// A client that publishes all the time still finds out that nobody answers, and a slow handler is no dead server.
func TestKeepAliveUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		o := client.Options{KeepAlive: 10 * time.Second, Handler: func(context.Context, *packet.Publish) { <-release }}
		c, p := connect(t, o, ok())
		p.send(message(0, 0, "slow"))
		for range 5 {
			p.expect("PINGREQ")
		}
		close(release)
		for range 5 {
			p.send(new(packet.Pingresp))
		}
		synctest.Wait()
		if c.Err() != nil {
			t.Fatal(c.Err())
		}
		pings := 0
		quit := make(chan struct{})
		go func() {
			defer close(quit)
			for q := p.read(); q != nil; q = p.read() {
				if _, ok := q.(*packet.Pingreq); ok {
					pings++
				}
			}
		}()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for c.Err() == nil {
			c.Publish(context.Background(), message(0, 0, "busy"))
			<-tick.C
		}
		<-c.Done()
		<-quit
		if pings != 1 {
			t.Error("PINGREQ:", pings)
		}
	})
}

// Whatever ends Dial, nothing is left running and the context's error is seen.
func TestDialCancelled(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	ctx, cancel := context.WithCancel(context.Background())
	o := client.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
	go func() {
		far.Read(make([]byte, 100)) // CONNECT, which is not answered
		cancel()
	}()
	if _, err := client.Dial(ctx, "mqtt://peer", o); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// URLs that cannot work are refused before anything is dialled.
func TestURLs(t *testing.T) {
	for url, says := range map[string]string{
		"http://x": "scheme", "x:1883": "scheme", "mqtt://": "no host", "mqtt://x/topic": "only ws", "unix://": "no path", "mqtt://[::1": "server URL",
	} {
		_, err := client.Dial(context.Background(), url, client.Options{})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// No error about a URL shows a piece of its password.
func TestURLErrorsHidePasswords(t *testing.T) {
	for _, url := range []string{
		"mqtt://user:se%zzcret@host", "mqtt://user:se/cret@host", "mqtt://user:1/se#cret@host", "ftp://user:secret@host", "mqtt://user:secret@host/path",
		"mqtt://user:secret@", "user:secret@host", "mqtt://user:se cret@host:port",
	} {
		_, direct := client.Dial(t.Context(), url, client.Options{})
		_, kept := client.NewKeeper(client.KeeperOptions{Servers: []string{url}})
		_, proxy := client.Proxy(url, nil)
		for _, err := range []error{direct, kept, proxy} {
			if err == nil || strings.Contains(err.Error(), "se") && strings.Contains(err.Error(), "cret") || strings.Contains(err.Error(), "%zz") {
				t.Errorf("%s: %v", url, err)
			}
		}
	}
}

// Publishing with QoS 0 allocates nothing once the buffers have grown.
func TestPublishAllocations(t *testing.T) {
	c, p := connect(t, client.Options{Version: packet.V311}, ok())
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		b := make([]byte, 64<<10)
		for {
			if _, err := p.conn.Read(b); err != nil {
				return
			}
		}
	}()
	ctx, m := context.Background(), message(0, 0, "a/b")
	for range 20000 {
		c.Publish(ctx, m)
	}
	if n := testing.AllocsPerRun(20000, func() { c.Publish(ctx, m) }); n > 0 {
		t.Error("allocations:", n)
	}
	p.conn.Close()
	<-drained
}
