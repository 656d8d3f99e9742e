package hub

import (
	"testing"

	"github.com/nightjarmq/nightjar/internal/router"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/topic"
)

// asking is an Access that allows everything, and does something, once, when a client is about to be offered a message.
type asking struct {
	id string
	do func()
}

func (*asking) Publish(*Client, []byte, byte, bool) bool   { return true }
func (*asking) Subscribe(*Client, topic.Filter, byte) bool { return true }
func (k *asking) Receive(c *Client, _ []byte) bool {
	if do := k.do; c.ID == k.id && do != nil {
		k.do = nil
		do()
	}
	return true
}

// TestGroupChangesAsItIsAsked: the only member of a group that a message finds ends, and another one has subscribed before
// that. It gets the message: there was a member all the time. [MQTT-4.8.2-4]
func TestGroupChangesAsItIsAsked(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store, _ func() store.Store) {
		member(t, s, "c", 60)
		heir := s.NewSession()
		if _, err := s.Submit(
			&store.SessionOpened{Session: heir, Epoch: 1, ClientID: "heir", Expiry: NeverExpires, Time: 1_000_000},
			&store.SessionClosed{Session: heir, Expiry: NeverExpires, Time: 1_000_000}); err != nil {
			t.Fatal(err)
		}
		a := newAway(t, s, Limits{})
		timers := a.batch
		a.batch = &transport.Batch{Now: a.now, Local: a.NewLocal()}
		a.SetAccess(&asking{"c", func() {
			c := a.Find("heir")
			c.mu.Lock()
			c.subscribe(subscription{filter: topic.Filter{Share: "g", Filter: "t"}, options: router.Options{QoS: 1}})
			c.mu.Unlock()
			other := a.batch
			a.batch = timers
			a.pass(61_000)
			a.batch = other
		}})
		a.publish(t, "0", 0)
		if a.Find("c") != nil {
			t.Fatal("the session of c has not ended")
		}
		wantOrder(t, s, heir, 1)
	})
}
