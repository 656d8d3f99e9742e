package bridge_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/bridge"
	"github.com/nightjarmq/nightjar/packet"
)

// eachRemote runs a test against our broker and Debian's, in each version.
func eachRemote(t *testing.T, test func(t *testing.T, remote string, v packet.Version)) {
	for _, kind := range []string{"nightjar", "mosquitto"} {
		for _, v := range []packet.Version{packet.V311, packet.V5} {
			t.Run(kind+"/"+v.String(), func(t *testing.T) {
				if kind == "mosquitto" {
					test(t, runMosquitto(t, ""), v)
					return
				}
				test(t, runNode(t).addr, v)
			})
		}
	}
}

// Messages cross under their other names, with QoS, retain flag and, in 5.0, properties; what crosses is not given back.
func TestNames(t *testing.T) {
	eachRemote(t, func(t *testing.T, remote string, v packet.Version) {
		here := runNode(t)
		send(t, remote, "home/cmd/old", "kept", 1, true)
		far, near := inbox(t, remote, "home/#"), inbox(t, here.addr, "#")
		want(t, far, "home/cmd/old kept retained")
		join(t, here, remote, func(c *bridge.Config) {
			c.Version, c.MaxHops = v, 0
			c.Topics = []bridge.Topic{
				{Pattern: "sensor/+", Out: true, QoS: 1, RemotePrefix: "home/"},
				{Pattern: "cmd/#", In: true, QoS: 2, RemotePrefix: "home/"},
				{Out: true, In: true, QoS: 1, LocalPrefix: "lamp", RemotePrefix: "home/light"},
			}
		})
		want(t, near, "cmd/old kept retained")
		send(t, here.addr, "sensor/t", "21", 1, true)
		want(t, near, "sensor/t 21 retained")
		want(t, far, "home/sensor/t 21 retained")
		send(t, here.addr, "lamp", "on", 1, false)
		want(t, near, "lamp on")
		want(t, far, "home/light on")
		send(t, remote, "home/light", "off", 2, false)
		want(t, far, "home/light off")
		want(t, near, "lamp off")
		send(t, here.addr, "cmd/none", "stays", 1, false)
		want(t, near, "cmd/none stays")
		send(t, remote, "home/cmd/x", "go", 2, false)
		want(t, far, "home/cmd/x go")
		want(t, near, "cmd/x go")
	})
}

// In 5.0 the properties of a message cross too, in both directions [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17].
func TestProperties(t *testing.T) {
	here, there := runNode(t), runNode(t)
	join(t, here, there.addr, func(c *bridge.Config) { c.Topics = both(1) })
	for _, way := range [][2]string{{here.addr, there.addr}, {there.addr, here.addr}} {
		got := make(chan *packet.Publish, 100)
		c := dial(t, way[1], client.Options{})
		if _, err := c.Subscribe(deadline(t), client.To("p", 1), func(_ context.Context, m *packet.Publish) { got <- client.Clone(m) }); err != nil {
			t.Fatal(err)
		}
		crossing(t, way[0], way[1])
		p := &packet.Publish{Topic: []byte("p"), QoS: 1, Payload: []byte("x")}
		p.ContentType, p.ResponseTopic, p.CorrelationData = []byte("text"), []byte("answer"), []byte{7}
		p.User = []packet.UserPair{{Key: []byte("k"), Value: []byte("v")}}
		if err := dial(t, way[0], client.Options{}).Publish(deadline(t), p); err != nil {
			t.Fatal(err)
		}
		m := <-got
		if string(m.ContentType) != "text" || string(m.ResponseTopic) != "answer" || string(m.CorrelationData) != "\x07" ||
			len(m.User) != 2 || string(m.User[0].Key) != "k" || string(m.User[0].Value) != "v" {
			t.Errorf("%s %s %v %v", m.ContentType, m.ResponseTopic, m.CorrelationData, m.User)
		}
	}
}

// However often and wherever the uplink breaks, each QoS 2 message arrives once and in order, each QoS 1 message at least
// once, in both directions at once [MQTT-4.4.0-1] [MQTT-4.3.3-10] [MQTT-4.6.0-1].
func TestUplinkBreaks(t *testing.T) {
	eachRemote(t, func(t *testing.T, remote string, v packet.Version) {
		debian := strings.Contains(t.Name(), "mosquitto")
		here := runNode(t)
		const messages = 400
		var lives atomic.Int64
		p := runProxy(t, remote, func() int {
			n := lives.Add(1)
			if n > 60 {
				return 0
			}
			return 150 + 37*int(n)
		})
		counts := map[string]chan string{}
		for _, at := range []string{here.addr, remote} {
			counts["1"+at], counts["2"+at] = inbox(t, at, "+/one"), inbox(t, at, "+/two")
		}
		join(t, here, p.addr, func(c *bridge.Config) {
			c.Version = v
			c.Topics = []bridge.Topic{{Pattern: "up/#", Out: true, QoS: 2}, {Pattern: "down/#", In: true, QoS: 2}}
		})
		crossingIn(t, remote, here.addr, "down/ready") // so the subscription there is made
		sent := make(chan error, 2)
		for _, way := range [][2]string{{here.addr, "up/"}, {remote, "down/"}} {
			c := dial(t, way[0], client.Options{})
			go func() {
				for i := range messages {
					for q, level := range []string{"one", "two"} {
						m := &packet.Publish{Topic: []byte(way[1] + level), QoS: byte(q + 1), Payload: fmt.Append(nil, i)}
						if err := c.Publish(deadline(t), m); err != nil {
							sent <- err
							return
						}
					}
				}
				sent <- nil
			}()
		}
		for range 2 {
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		for at, way := range map[string]string{here.addr: "down/", remote: "up/"} {
			ordered := way == "up/" || !debian // Mosquitto 2.0 sends again out of order, in 5.0
			exactlyOnce(t, counts["2"+at], way+"two", messages, ordered)
			seen := map[string]bool{}
			for len(seen) < messages {
				select {
				case s := <-counts["1"+at]:
					if s[:len(way)] == way {
						seen[s] = true
					}
				case <-time.After(patience):
					var missing []string
					for i := range messages {
						if m := fmt.Sprintf("%sone %d", way, i); !seen[m] {
							missing = append(missing, m)
						}
					}
					t.Fatalf("these QoS 1 messages did not come: %q", missing)
				}
			}
		}
		if n := lives.Load(); n < 10 {
			t.Errorf("the uplink broke %d times only", n/2)
		}
	})
}

// exactlyOnce takes the messages 0, 1, 2... of a topic; others pass by.
func exactlyOnce(t *testing.T, got chan string, name string, messages int, ordered bool) {
	t.Helper()
	seen := map[string]bool{}
	for len(seen) < messages {
		select {
		case s := <-got:
			if !strings.HasPrefix(s, name+" ") {
				continue
			}
			if seen[s] {
				t.Fatalf("%q came twice", s)
			}
			if expected := fmt.Sprintf("%s %d", name, len(seen)); ordered && s != expected {
				t.Fatalf("got %q, want %q", s, expected)
			}
			seen[s] = true
		case <-time.After(patience):
			t.Fatalf("%d of %d messages to %s came", len(seen), messages, name)
		}
	}
}

// Two brokers with a bridge between them, and three in a ring, deliver each message once.
func TestNoLoops(t *testing.T) {
	for brokers := 2; brokers <= 3; brokers++ {
		t.Run(fmt.Sprint(brokers), func(t *testing.T) {
			nodes := make([]node, brokers)
			for i := range nodes {
				nodes[i] = runNode(t)
			}
			for i, n := range nodes {
				if next := nodes[(i+1)%brokers].addr; i > 0 || brokers > 2 {
					join(t, n, next, func(c *bridge.Config) { c.Topics, c.MaxHops = both(1), 1 })
					crossing(t, n.addr, next)
				}
			}
			once(t, nodes)
		})
	}
}

// Without a limit nothing circles either: what comes round ends where it has been.
func TestRoundEnds(t *testing.T) {
	a, b, c := runNode(t), runNode(t), runNode(t)
	nodes := []node{a, b, c}
	for i, n := range nodes {
		join(t, n, nodes[(i+1)%3].addr, func(c *bridge.Config) { c.Topics = both(1) })
		crossing(t, n.addr, nodes[(i+1)%3].addr)
	}
	got := inbox(t, b.addr, "m/#")
	const messages = 50
	for i := range messages {
		send(t, a.addr, "m/1", fmt.Sprint(i), 1, false)
	}
	send(t, a.addr, "m/last", "", 1, false)
	for n := 0; ; n++ {
		if n > 10*messages {
			t.Fatal("messages circle")
		}
		if s := <-got; s == "m/last " {
			break
		}
	}
}

// once publishes everywhere and sees each message once everywhere.
func once(t *testing.T, nodes []node) {
	t.Helper()
	var boxes []chan string
	for _, n := range nodes {
		boxes = append(boxes, inbox(t, n.addr, "m/#"))
	}
	const messages = 30
	for i := range messages {
		for j, n := range nodes {
			send(t, n.addr, fmt.Sprintf("m/%d", j), fmt.Sprint(i), 1, false)
		}
	}
	for j, n := range nodes {
		send(t, n.addr, fmt.Sprintf("m/%d", j), "end", 1, false)
	}
	for k, box := range boxes {
		seen, ends := map[string]int{}, 0
		for ends < len(nodes) {
			select {
			case s := <-box:
				seen[s]++
				if s[len(s)-3:] == "end" {
					ends++
				}
			case <-time.After(patience):
				t.Fatalf("broker %d has got %d ends of %d", k, ends, len(nodes))
			}
		}
		if len(seen) != (messages+1)*len(nodes) {
			t.Errorf("broker %d has got %d messages of %d", k, len(seen), (messages+1)*len(nodes))
		}
		for s, n := range seen {
			if n != 1 {
				t.Errorf("broker %d has got %q %d times", k, s, n)
			}
		}
	}
}

// Debian's broker, bridged in both directions, by us or by itself, gives each message once to each client.
func TestNoLoopsWithMosquitto(t *testing.T) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		t.Run("ours "+v.String(), func(t *testing.T) {
			n, m := runNode(t), runMosquitto(t, "")
			join(t, n, m, func(c *bridge.Config) { c.Topics, c.Version = both(1), v })
			crossing(t, n.addr, m)
			once(t, []node{n, {addr: m}})
		})
		t.Run("its "+v.String(), func(t *testing.T) {
			n := runNode(t)
			version := map[packet.Version]string{packet.V311: "mqttv311", packet.V5: "mqttv50"}[v]
			m := runMosquitto(t, "connection back\naddress "+n.addr+"\ntopic # both 1\nbridge_protocol_version "+version+"\n")
			crossing(t, n.addr, m)
			once(t, []node{n, {addr: m}})
		})
	}
}

// The state is published at both ends, and the remote sees the loss of the connection through the will.
func TestNotifications(t *testing.T) {
	eachRemote(t, func(t *testing.T, remote string, v packet.Version) {
		here := runNode(t)
		const name = "$SYS/broker/connection/me/state"
		near, far := inbox(t, here.addr, name), inbox(t, remote, name)
		stop := join(t, here, remote, func(c *bridge.Config) {
			c.Version, c.Topics, c.Notify, c.RemoteClientID = v, both(1), true, "me"
		})
		want(t, near, name+" 0 retained", name+" 1 retained")
		want(t, far, name+" 1 retained")
		stop()
		want(t, near, name+" 0 retained")
		want(t, far, name+" 0 retained")
	})
}

// A lazy bridge connects when enough messages wait and ends its connection when nothing happens.
func TestLazy(t *testing.T) {
	here, there := runNode(t), runNode(t)
	const connection = "$SYS/broker/connection/me/state" // unlike the state it is told at once, each time
	got, state, connected := inbox(t, there.addr, "#"), inbox(t, here.addr, "$SYS/broker/bridge/far/state"), inbox(t, here.addr, connection)
	join(t, here, there.addr, func(c *bridge.Config) {
		c.Topics, c.Start, c.Threshold, c.IdleTimeout = both(1), bridge.Lazy, 3, 50*time.Millisecond
		c.Notify, c.RemoteClientID = true, "me"
	})
	await(t, state, "$SYS/broker/bridge/far/state idle retained")
	for i := range 3 {
		if len(got) != 0 {
			t.Error("the bridge did not wait for three messages")
		}
		send(t, here.addr, "x", fmt.Sprint(i), 1, false)
	}
	want(t, got, "x 0", "x 1", "x 2")
	await(t, connected, connection+" 1 retained")
	await(t, connected, connection+" 0 retained")
	for i := range 3 {
		send(t, here.addr, "y", fmt.Sprint(i), 1, false)
	}
	want(t, got, "y 0", "y 1", "y 2")
}

func await(t *testing.T, got chan string, expected string) {
	t.Helper()
	for {
		select {
		case s := <-got:
			if s == expected {
				return
			}
		case <-time.After(patience):
			t.Fatalf("no %q came", expected)
		}
	}
}

// A message for a remote that takes less QoS, or smaller packets, neither stops the bridge nor is it sent.
func TestTooLarge(t *testing.T) {
	eachRemote(t, func(t *testing.T, remote string, v packet.Version) {
		here := runNode(t)
		got := inbox(t, remote, "#")
		join(t, here, remote, func(c *bridge.Config) { c.Version, c.Topics, c.MaxPacketSize = v, both(2), 2000 })
		for q := range byte(3) {
			send(t, here.addr, "big", string(make([]byte, 3000)), q, false)
		}
		send(t, here.addr, "small", "x", 2, false)
		want(t, got, "small x")
	})
}
