//go:build unix

package realclients

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
	"github.com/nightjarmq/nightjar/packet"
)

// tally counts what came to a subscriber.
type tally struct {
	mu   sync.Mutex
	came map[string]int // guarded by mu: topic and number
}

func (c *tally) take(_ context.Context, m *packet.Publish) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came[string(m.Topic)+" "+string(m.Payload)]++
}

func (c *tally) of(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.came[what]
}

// With bridge_live_first new messages arrive after an outage while those that waited drain slowly. The broker here is killed in
// the midst of that: nothing is lost, with QoS 2 nothing comes twice, and what waited comes in order.
func TestLiveFirstSurvivesKill(t *testing.T) {
	for name, program := range map[string]func(t *testing.T) string{
		"nightjar":  func(t *testing.T) string { return "" },
		"mosquitto": func(t *testing.T) string { return mosquittotest.Program(t, "mosquitto") },
	} {
		t.Run(name, func(t *testing.T) { liveFirstSurvivesKill(t, program(t)) })
	}
}

func liveFirstSurvivesKill(t *testing.T, program string) {
	const messages = 50
	here, there := newHouse(t), newHouse(t)
	const base = "user root\npersistence true\npersistence_location <dir>/\nlistener <a> 127.0.0.1\nallow_anonymous true\n"
	there.write("mosquitto.conf", base)
	bridge := base + "connection far\naddress 127.0.0.1:" + there.ports["a"] + "\nrestart_timeout 1\nbridge_live_first true\ntopic +/# out 2\n"
	here.write("mosquitto.conf", bridge+"bridge_outgoing_rate 2\n")
	there.at(program)
	here.open()
	here.p.stderr.Until(t, "a bridge is connected")

	ctx, cancel := context.WithTimeout(t.Context(), 4*Patience)
	defer cancel()
	old, live := arrivals{first: map[string]int{}}, tally{came: map[string]int{}}
	for filter, take := range map[string]client.Handler{"old/#": old.take, "live/#": live.take} {
		if _, err := there.keep("reader of "+strings.TrimSuffix(filter, "/#")).Subscribe(ctx, client.To(filter, 2), take); err != nil {
			t.Fatal(err)
		}
	}
	writer := here.keep("writer")
	publish := func(topic string, from, to int) {
		t.Helper()
		for n := from; n < to; n++ {
			for qos := byte(1); qos <= 2; qos++ {
				m := &packet.Publish{Topic: fmt.Appendf(nil, "%s/%d", topic, qos), QoS: qos, Payload: fmt.Append(nil, n)}
				if err := writer.Publish(ctx, m); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	there.end(syscall.SIGTERM)
	here.p.stderr.Until(t, "a bridge has lost its connection")
	publish("old", 0, messages)
	there.at(program)
	here.p.stderr.Until(t, "a bridge is connected")
	publish("live", 0, 10)
	await(t, "the live messages", func() (int, bool) { return 0, live.of("live/1 9") > 0 && live.of("live/2 9") > 0 })
	if old.came(t, messages, "old/1", "old/2") {
		t.Error("what waited came first")
	}
	here.end(syscall.SIGKILL)
	here.write("mosquitto.conf", bridge)
	here.open()
	publish("live", 10, 20)
	for n := range 20 {
		await(t, fmt.Sprint("live message ", n), func() (int, bool) {
			return 0, live.of(fmt.Sprint("live/1 ", n)) > 0 && live.of(fmt.Sprint("live/2 ", n)) > 0
		})
	}
	await(t, "all messages", func() (int, bool) { return 0, old.came(t, messages, "old/1", "old/2") })
	publish("live", 20, 21)
	await(t, "the last message", func() (int, bool) { return 0, live.of("live/2 20") > 0 })
	for n := range 20 {
		if came := live.of(fmt.Sprint("live/2 ", n)); came != 1 { // [MQTT-4.3.3-10]
			t.Errorf("live message %d of QoS 2 came %d times", n, came)
		}
	}
}
