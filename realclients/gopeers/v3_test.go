package gopeers

import (
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// done waits for what a token stands for.
func done(t *testing.T, what string, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatalf("%s: no answer", what)
	}
	if err := token.Error(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// take waits for the next value of a channel.
func take[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing came", what)
		panic("unreachable")
	}
}

func options(address, id string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker(address).SetClientID(id).SetOrderMatters(true).SetAutoReconnect(false)
}

func connect(t *testing.T, o *mqtt.ClientOptions) mqtt.Client {
	t.Helper()
	c := mqtt.NewClient(o)
	done(t, "connect", c.Connect())
	t.Cleanup(func() { c.Disconnect(100) })
	return c
}

// inbox returns a channel and the handler that fills it.
func inbox() (<-chan mqtt.Message, mqtt.MessageHandler) {
	c := make(chan mqtt.Message, 1000)
	return c, func(_ mqtt.Client, m mqtt.Message) { c <- m }
}

// Every QoS over every transport, 200 messages in order. [MQTT-4.6.0-6]
func TestPahoV3Exchange(t *testing.T) {
	s := start(t)
	for name, address := range map[string]string{
		"tcp":  "tcp://127.0.0.1:" + s.Port,
		"ws":   "ws://127.0.0.1:" + s.WSPort + "/mqtt",
		"unix": "unix://" + s.Socket,
	} {
		for _, version := range []uint{3, 4} {
			if name == "ws" && version == 3 {
				continue // the library offers the sub-protocol of 3.1.1 only
			}
			t.Run(fmt.Sprintf("%s %d", name, version), func(t *testing.T) {
				c := connect(t, options(address, "go-exchange").SetProtocolVersion(version))
				for qos := range byte(3) {
					messages, handle := inbox()
					topic := fmt.Sprintf("%s/%d", name, qos)
					done(t, "subscribe", c.Subscribe(topic, qos, handle))
					for i := range 200 {
						c.Publish(topic, qos, false, fmt.Sprint(i))
					}
					for i := range 200 {
						m := take(t, "message", messages)
						if string(m.Payload()) != fmt.Sprint(i) || m.Qos() != qos || m.Topic() != topic {
							t.Fatalf("message %d is %s %q in QoS %d", i, m.Topic(), m.Payload(), m.Qos())
						}
					}
					done(t, "unsubscribe", c.Unsubscribe(topic))
				}
			})
		}
	}
}

// A connection that breaks; the library reconnects by itself, and what was published to its session meanwhile comes then.
// [MQTT-3.1.2-5]
func TestPahoV3ReconnectsAndResumes(t *testing.T) {
	s := start(t)
	var mu sync.Mutex
	var conn net.Conn // of the last attempt; guarded by mu
	connected, lost, mayConnect := make(chan bool, 10), make(chan bool, 10), make(chan bool, 10)
	messages, handle := inbox()
	o := options("tcp://127.0.0.1:"+s.Port, "go-keeper").SetCleanSession(false).SetAutoReconnect(true).
		SetMaxReconnectInterval(10 * time.Millisecond).SetDefaultPublishHandler(handle).
		SetOnConnectHandler(func(mqtt.Client) { connected <- true }).
		SetConnectionLostHandler(func(mqtt.Client, error) { lost <- true }).
		SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			<-mayConnect
			c, err := net.Dial("tcp", u.Host)
			mu.Lock()
			defer mu.Unlock()
			conn = c
			return c, err
		})
	mayConnect <- true
	c := connect(t, o)
	take(t, "connection", connected)
	done(t, "subscribe", c.Subscribe("mail/#", 2, nil))
	other := connect(t, options("tcp://127.0.0.1:"+s.Port, "go-sender"))
	seen := make(map[string]bool)
	for round := range 3 {
		mu.Lock()
		conn.(*net.TCPConn).CloseRead() // the library takes its own Close for intended
		mu.Unlock()
		take(t, "loss of the connection", lost)
		for i := range 10 {
			done(t, "publish", other.Publish(fmt.Sprintf("mail/%d", round), 1, false, fmt.Sprint(i)))
		}
		mayConnect <- true
		take(t, "reconnection", connected)
		for i := range 10 {
			m := take(t, "message", messages)
			for m.Duplicate() && seen[m.Topic()+string(m.Payload())] { // its acknowledgement was lost with the connection
				m = take(t, "message", messages)
			}
			seen[m.Topic()+string(m.Payload())] = true
			if m.Topic() != fmt.Sprintf("mail/%d", round) || string(m.Payload()) != fmt.Sprint(i) {
				t.Fatalf("round %d, message %d: %s %q", round, i, m.Topic(), m.Payload())
			}
		}
	}
	close(mayConnect)
}

// Retained message and will, as a device with a status topic has them. [MQTT-3.1.2-8] [MQTT-3.3.1-6]
func TestPahoV3StatusTopic(t *testing.T) {
	s := start(t)
	address := "tcp://127.0.0.1:" + s.Port
	var device net.Conn
	o := options(address, "go-device").SetWill("device/status", "offline", 1, true).
		SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (c net.Conn, err error) {
			device, err = net.Dial("tcp", u.Host)
			return device, err
		})
	c := connect(t, o)
	done(t, "publish", c.Publish("device/status", 1, true, "online"))
	watcher := connect(t, options(address, "go-watcher"))
	messages, handle := inbox()
	done(t, "subscribe", watcher.Subscribe("device/+", 1, handle))
	if m := take(t, "retained message", messages); string(m.Payload()) != "online" || !m.Retained() {
		t.Fatalf("status is %q, retained %v", m.Payload(), m.Retained())
	}
	device.Close()
	if m := take(t, "will", messages); string(m.Payload()) != "offline" || m.Retained() {
		t.Fatalf("status is %q, retained %v", m.Payload(), m.Retained())
	}
}
