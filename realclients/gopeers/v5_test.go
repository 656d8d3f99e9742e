package gopeers

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// peer is a client of paho.golang with what it received.
type peer struct {
	*paho.Client
	messages chan *paho.Publish
	gone     chan *paho.Disconnect
	connack  *paho.Connack
}

func waiting(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, s *server, cp *paho.Connect) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.Port)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{messages: make(chan *paho.Publish, 1000), gone: make(chan *paho.Disconnect, 1)}
	p.Client = paho.NewClient(paho.ClientConfig{
		Conn: conn, ClientID: cp.ClientID,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			p.messages <- r.Packet
			return true, nil
		}},
		OnServerDisconnect: func(d *paho.Disconnect) { p.gone <- d },
	})
	if p.connack, err = p.Connect(waiting(t), cp); err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { p.Disconnect(&paho.Disconnect{}) })
	return p
}

func (p *peer) subscribe(t *testing.T, sub *paho.Subscribe) {
	t.Helper()
	if _, err := p.Subscribe(waiting(t), sub); err != nil {
		t.Fatalf("subscribe: %v", err)
	}
}

func (p *peer) publish(t *testing.T, m *paho.Publish) {
	t.Helper()
	if _, err := p.Publish(waiting(t), m); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

func filter(topic string, qos byte) *paho.Subscribe {
	return &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: qos}}}
}

func number[T any](v T) *T { return &v }

// Every QoS with properties and a subscription identifier; the Receive Maximum of the client is small. [MQTT-3.3.4-9]
func TestPahoV5Exchange(t *testing.T) {
	s := start(t)
	c := dial(t, s, &paho.Connect{KeepAlive: 15, CleanStart: true, Properties: &paho.ConnectProperties{ReceiveMaximum: number[uint16](3)}})
	if c.connack.Properties.AssignedClientID == "" {
		t.Error("no client identifier was assigned") // [MQTT-3.2.2-16]
	}
	for qos := range byte(3) {
		topic := fmt.Sprintf("exchange/%d", qos)
		sub := filter(topic, qos)
		sub.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: number(int(qos) + 1)}
		c.subscribe(t, sub)
		for i := range 100 {
			c.publish(t, &paho.Publish{Topic: topic, QoS: qos, Payload: fmt.Append(nil, i), Properties: &paho.PublishProperties{
				ContentType: "text/plain", CorrelationData: []byte{0, 255}, PayloadFormat: number[byte](1),
				User: paho.UserProperties{{Key: "k", Value: "1"}, {Key: "k", Value: "2"}},
			}})
			m := take(t, "message", c.messages)
			if string(m.Payload) != fmt.Sprint(i) || m.QoS != qos || m.Properties.ContentType != "text/plain" ||
				string(m.Properties.CorrelationData) != "\x00\xff" || len(m.Properties.User) != 2 || m.Properties.User[1].Value != "2" ||
				*m.Properties.SubscriptionIdentifier != int(qos)+1 {
				t.Fatalf("message %d: %v", i, m)
			}
		}
	}
}

// Topic aliases of the client, set anew in between. [MQTT-3.3.2-12]
func TestPahoV5TopicAlias(t *testing.T) {
	s := start(t)
	c := dial(t, s, &paho.Connect{ClientID: "go-alias", KeepAlive: 15, CleanStart: true})
	c.subscribe(t, filter("alias/#", 1))
	most := c.connack.Properties.TopicAliasMaximum
	if most == nil || *most == 0 {
		t.Fatal("the broker takes no topic aliases")
	}
	for i, topic := range []string{"alias/a", "", "", "alias/b", ""} {
		c.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: fmt.Append(nil, i), Properties: &paho.PublishProperties{TopicAlias: most}})
		want := "alias/a"
		if i > 2 {
			want = "alias/b"
		}
		if m := take(t, "message", c.messages); m.Topic != want || string(m.Payload) != fmt.Sprint(i) {
			t.Errorf("message %d came as %s %q, want topic %s", i, m.Topic, m.Payload, want)
		}
	}
}

// No Local and Retain Handling. [MQTT-3.8.3-3] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
func TestPahoV5SubscriptionOptions(t *testing.T) {
	s := start(t)
	c := dial(t, s, &paho.Connect{ClientID: "go-options", KeepAlive: 15, CleanStart: true})
	c.publish(t, &paho.Publish{Topic: "o/kept", QoS: 1, Retain: true, Payload: []byte("kept")})
	c.subscribe(t, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "o/#", QoS: 1, NoLocal: true, RetainHandling: 2}}})
	c.publish(t, &paho.Publish{Topic: "o/own", QoS: 1, Payload: []byte("own")})
	other := dial(t, s, &paho.Connect{ClientID: "go-other", KeepAlive: 15, CleanStart: true})
	other.publish(t, &paho.Publish{Topic: "o/other", QoS: 1, Payload: []byte("other")})
	if m := take(t, "message", c.messages); m.Topic != "o/other" {
		t.Errorf("the first message is %s", m.Topic)
	}
	c.subscribe(t, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "o/#", QoS: 1, RetainHandling: 1}}})
	c.publish(t, &paho.Publish{Topic: "o/own", QoS: 1, Payload: []byte("own")})
	if m := take(t, "message", c.messages); m.Topic != "o/own" {
		t.Errorf("after a subscription that exists: %s", m.Topic)
	}
	c.subscribe(t, filter("o/#", 1))
	if m := take(t, "retained message", c.messages); m.Topic != "o/kept" || !m.Retain {
		t.Errorf("Retain Handling 0: %s, retained %v", m.Topic, m.Retain)
	}
}

// A twin takes over; the older is told why. [MQTT-3.1.4-3]
func TestPahoV5Takeover(t *testing.T) {
	s := start(t)
	older := dial(t, s, &paho.Connect{ClientID: "go-twin", KeepAlive: 15, CleanStart: true})
	dial(t, s, &paho.Connect{ClientID: "go-twin", KeepAlive: 15, CleanStart: true})
	if d := take(t, "DISCONNECT", older.gone); d.ReasonCode != 0x8E {
		t.Errorf("reason code 0x%02X", d.ReasonCode)
	}
}

// auto connects by autopaho, over TCP or WebSocket.
func auto(t *testing.T, address string, cfg autopaho.ClientConfig) (*autopaho.ConnectionManager, <-chan *paho.Connack) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan *paho.Connack, 10)
	cfg.ServerUrls, cfg.KeepAlive = []*url.URL{u}, 15
	cfg.ReconnectBackoff = func(int) time.Duration { return 10 * time.Millisecond }
	cfg.OnConnectionUp = func(_ *autopaho.ConnectionManager, c *paho.Connack) { up <- c }
	ctx, cancel := context.WithCancel(context.Background())
	cm, err := autopaho.NewConnection(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		<-cm.Done()
	})
	return cm, up
}

// autopaho loses its connection and comes back to its session. [MQTT-3.1.2-5]
func TestAutopahoReconnectsAndResumes(t *testing.T) {
	s := start(t)
	var mu sync.Mutex
	var conn net.Conn // guarded by mu
	messages := make(chan *paho.Publish, 100)
	mayConnect := make(chan bool, 10)
	mayConnect <- true
	cm, up := auto(t, "mqtt://127.0.0.1:"+s.Port, autopaho.ClientConfig{
		SessionExpiryInterval: 60, CleanStartOnInitialConnection: true,
		AttemptConnection: func(ctx context.Context, _ autopaho.ClientConfig, u *url.URL) (net.Conn, error) {
			select {
			case <-mayConnect:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			c, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
			mu.Lock()
			defer mu.Unlock()
			conn = c
			return c, err
		},
		ClientConfig: paho.ClientConfig{ClientID: "go-auto", OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(r paho.PublishReceived) (bool, error) { messages <- r.Packet; return true, nil },
		}},
	})
	if take(t, "connection", up).SessionPresent {
		t.Error("a session was there before the first connection")
	}
	if _, err := cm.Subscribe(waiting(t), filter("mail/#", 2)); err != nil {
		t.Fatal(err)
	}
	sender := dial(t, s, &paho.Connect{ClientID: "go-sender", KeepAlive: 15, CleanStart: true})
	seen := make(map[string]bool)
	for round := range 3 {
		mu.Lock()
		conn.Close()
		mu.Unlock()
		for i := range 10 {
			sender.publish(t, &paho.Publish{Topic: "mail/x", QoS: 1, Payload: fmt.Append(nil, round, i)})
		}
		mayConnect <- true
		if !take(t, "reconnection", up).SessionPresent {
			t.Error("the session was lost")
		}
		for i := range 10 {
			m := take(t, "message", messages)
			for m.Duplicate() && seen[string(m.Payload)] { // its acknowledgement was lost with the connection
				m = take(t, "message", messages)
			}
			seen[string(m.Payload)] = true
			if string(m.Payload) != fmt.Sprint(round, i) {
				t.Errorf("round %d, message %d: %q", round, i, m.Payload)
			}
		}
	}
}

// Request and response as section 4.10 describes them, the responder on WebSocket. [MQTT-3.3.2-15]
func TestAutopahoRequestResponse(t *testing.T) {
	s := start(t)
	responder, requests := listening(t, "ws://127.0.0.1:"+s.WSPort+"/mqtt", "rpc/double")
	requester, answers := listening(t, "mqtt://127.0.0.1:"+s.Port, "go-requester/answers")
	for i := range 20 {
		request := &paho.Publish{Topic: "rpc/double", QoS: 1, Payload: []byte("ab"), Properties: &paho.PublishProperties{
			ResponseTopic: "go-requester/answers", CorrelationData: fmt.Append(nil, i),
		}}
		if _, err := requester.Publish(waiting(t), request); err != nil {
			t.Fatal(err)
		}
		r := take(t, "request", requests)
		answer := &paho.Publish{Topic: r.Properties.ResponseTopic, QoS: 1, Payload: append(r.Payload, r.Payload...),
			Properties: &paho.PublishProperties{CorrelationData: r.Properties.CorrelationData}}
		if _, err := responder.Publish(waiting(t), answer); err != nil {
			t.Fatal(err)
		}
		if a := take(t, "answer", answers); string(a.Payload) != "abab" || string(a.Properties.CorrelationData) != fmt.Sprint(i) {
			t.Errorf("answer %d: %v", i, a)
		}
	}
}

// listening connects by autopaho and subscribes to one topic.
func listening(t *testing.T, address, topic string) (*autopaho.ConnectionManager, <-chan *paho.Publish) {
	t.Helper()
	messages := make(chan *paho.Publish, 100)
	cm, up := auto(t, address, autopaho.ClientConfig{ClientConfig: paho.ClientConfig{
		ClientID: "go-" + topic,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(r paho.PublishReceived) (bool, error) { messages <- r.Packet; return true, nil },
		},
	}})
	take(t, "connection", up)
	if _, err := cm.Subscribe(waiting(t), filter(topic, 1)); err != nil {
		t.Fatal(err)
	}
	return cm, messages
}
