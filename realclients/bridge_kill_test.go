//go:build unix

package realclients

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// arrivals are the numbers that came to one subscriber, by topic.
type arrivals struct {
	mu    sync.Mutex
	first map[string]int // guarded by mu: how many came for the first time; they have to come in order
	wrong []string       // guarded by mu
}

func (a *arrivals) take(_ context.Context, m *packet.Publish) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var n int
	name := string(m.Topic)
	fmt.Sscan(string(m.Payload), &n)
	switch next := a.first[name]; {
	case n == next:
		a.first[name]++
	case n > next: // [MQTT-4.6.0-1]
		a.wrong = append(a.wrong, fmt.Sprintf("%s: %d before %d", name, n, next))
	case strings.HasSuffix(name, "/2"): // [MQTT-4.3.3-10]
		a.wrong = append(a.wrong, fmt.Sprintf("%s: %d came again", name, n))
	}
}

// came reports whether count messages have come to each topic. A fault ends the test.
func (a *arrivals) came(t testing.TB, count int, names ...string) bool {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.wrong) > 0 {
		t.Fatalf("%q", a.wrong)
	}
	for _, name := range names {
		if a.first[name] < count {
			return false
		}
	}
	return true
}

// keep runs a client that connects again whenever its broker is back.
func (h *house) keep(id string) *client.Keeper {
	h.t.Helper()
	o := client.KeeperOptions{Servers: []string{"tcp://127.0.0.1:" + h.ports["a"]}, MinPause: 50 * time.Millisecond, MaxPause: 200 * time.Millisecond}
	o.ClientID, o.Resume, o.SessionExpiry = id, true, packet.Some[uint32](3600)
	k, err := client.NewKeeper(o)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.Run(ctx)
	}()
	h.t.Cleanup(func() { stop(); <-ended })
	return k
}

// While messages cross in both directions the brokers at both ends are killed in turn. Nothing is lost, with QoS 2 nothing
// comes twice, and each topic keeps its order. [MQTT-4.4.0-1]
func TestBridgeSurvivesKills(t *testing.T) {
	const messages, kills = 300, 6
	here, there := newHouse(t), newHouse(t)
	const base = "user root\npersistence true\npersistence_location <dir>/\nlistener <a> 127.0.0.1\nallow_anonymous true\n"
	there.write("mosquitto.conf", base)
	here.write("mosquitto.conf", base+"connection far\naddress 127.0.0.1:"+there.ports["a"]+
		"\nrestart_timeout 1\ntopic up/# out 2\ntopic down/# in 2\n")
	there.open()
	there.pub("a", "-t", "down/ready", "-m", "yes", "-r", "-q", "1")
	here.open()
	run(t, "", "mosquitto_sub", "-p", here.ports["a"], "-t", "down/ready", "-C", "1") // so the subscription at the other end is made

	ctx, cancel := context.WithTimeout(t.Context(), 4*Patience)
	defer cancel()
	ways := []struct {
		from, to *house
		names    []string
		got      arrivals
	}{
		{from: here, to: there, names: []string{"up/1", "up/2"}},
		{from: there, to: here, names: []string{"down/1", "down/2"}},
	}
	sent := make(chan error, 4)
	for i := range ways {
		w := &ways[i]
		w.got.first = map[string]int{}
		for _, name := range w.names {
			if _, err := w.to.keep("reader of "+name).Subscribe(ctx, client.To(name, 2), w.got.take); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range ways {
		for q, name := range ways[i].names {
			k := ways[i].from.keep("writer of " + name)
			go func() {
				var err error
				for n := 0; n < messages && err == nil; n++ {
					err = k.Publish(ctx, &packet.Publish{Topic: []byte(name), QoS: byte(q + 1), Payload: fmt.Append(nil, n)})
				}
				sent <- err
			}()
		}
	}
	reach := func(count int) {
		t.Helper()
		for i := range ways {
			w := &ways[i]
			await(t, fmt.Sprintf("%d messages of %q", count, w.names), func() (int, bool) { return 0, w.got.came(t, count, w.names...) })
		}
	}
	for i := range kills {
		reach((i + 1) * messages / (kills + 2))
		victim := []*house{here, there}[i%2]
		victim.end(syscall.SIGKILL)
		victim.open()
	}
	reach(messages)
	for range cap(sent) {
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
}
