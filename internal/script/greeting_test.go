package script

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/nightjarmq/nightjar/internal/store"
)

// slowDisk is a store whose disk is as far as the test says.
type slowDisk struct {
	*store.Memory
	durable atomic.Uint64
	risen   func(store.Ticket, error)
}

func (d *slowDisk) Durable() store.Ticket                 { return store.Ticket(d.durable.Load()) }
func (d *slowDisk) OnDurable(f func(store.Ticket, error)) { d.risen = f }

func (d *slowDisk) sync() {
	t := d.Memory.Durable()
	d.durable.Store(uint64(t))
	d.risen(t, nil)
	synctest.Wait()
}

// TestGreeting: while CONNACK waits for the disk nothing else is sent
// [MQTT-3.2.0-1], neither messages of QoS 0 for the subscriptions of the session
// nor the answer to a PINGREQ, nor DISCONNECT [MQTT-3.14.0-1].
func TestGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowDisk{Memory: store.NewMemory()}
		p := assemble(t, disk, nil)
		clients := make(map[string]*client)
		say := func(name, text string) {
			t.Helper()
			if clients[name] == nil {
				end, err := p.dial()
				if err != nil {
					t.Fatal(err)
				}
				clients[name] = newClient(name, end)
			}
			out, err := clients[name].encode(text)
			if err != nil {
				t.Fatal(err)
			}
			clients[name].conn.Write(out)
			synctest.Wait()
		}
		hear := func(name, want string) {
			t.Helper()
			if got, _ := clients[name].take(); !matches(want, got) {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		say("a", "CONNECT v=5 id=a clean=0 session-expiry=100")
		say("a", "SUBSCRIBE id=1 t")
		hear("a", "")
		disk.sync()
		hear("a", "CONNACK present=0 code=0x00")
		hear("a", "SUBACK id=1 codes=0x00")
		say("b", "CONNECT v=4 id=b clean=1")
		hear("b", "CONNACK present=0 code=0x00")
		clients["a"].drop(false)
		delete(clients, "a")

		say("a", "CONNECT v=5 id=a clean=0 session-expiry=100")
		say("a", "PINGREQ")
		say("b", `PUBLISH t "early"`)
		hear("a", "")
		disk.sync()
		say("b", `PUBLISH t "late"`)
		hear("a", "CONNACK present=1 code=0x00")
		hear("a", "PINGRESP")
		hear("a", `PUBLISH t "late"`)
		hear("a", "")

		say("a2", "CONNECT v=5 id=a clean=0 session-expiry=100")
		hear("a", "DISCONNECT code=0x8e")
		say("a3", "CONNECT v=5 id=a clean=0 session-expiry=100")
		hear("a2", "")
		if !clients["a2"].closed() {
			t.Error("what was taken over is open")
		}
		disk.sync()
		hear("a3", "CONNACK present=1 code=0x00")
		for _, c := range clients {
			c.drop(false)
		}
		p.stop()
	})
}
