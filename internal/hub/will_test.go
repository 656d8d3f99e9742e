package hub

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/packet"
)

// TestWillFull: a will that falls due while the store takes nothing, or at the end of a
// session then, is published when it takes something again, once; one of QoS 0 to whom it
// can be, at its time. [MQTT-3.1.2-8] [MQTT-3.1.2-10]
func TestWillFull(t *testing.T) {
	for _, c := range []struct {
		name          string
		delay, expiry uint32
		qos           byte
		takes         int // how much it takes before
		want          string
	}{
		{name: "its delay", delay: 10, expiry: NeverExpires, qos: 1, want: "[gone]"},
		{name: "QoS 2", delay: 10, expiry: NeverExpires, qos: 2, want: "[gone]"},
		{name: "the session's end", delay: 10, expiry: 10, qos: 1, want: "[gone]"},
		{name: "the session's end is stored", delay: 10, expiry: 10, qos: 1, takes: 1, want: "[gone]"},
		{name: "QoS 0", delay: 10, expiry: NeverExpires, qos: 0, want: "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stores(t, func(t *testing.T, s store.Store, reopen func() store.Store) {
				id, watch := s.NewSession(), s.NewSession()
				w := &store.Will{Message: &message.Message{Topic: "t", Payload: []byte("gone"), QoS: c.qos}, Delay: c.delay}
				if _, err := s.Submit(
					&store.SessionOpened{Session: id, Epoch: 1, ClientID: "c", Expiry: c.expiry, Will: w, Time: 1_000_000},
					&store.SessionClosed{Session: id, Expiry: c.expiry, KeepWill: true, Time: 1_000_000},
					&store.SessionOpened{Session: watch, Epoch: 1, ClientID: "watch", Expiry: NeverExpires, Time: 1_000_000},
					&store.Subscribed{Session: watch, Filter: "t", Options: packet.Options{QoS: 2}},
					&store.SessionClosed{Session: watch, Expiry: NeverExpires, Time: 1_000_000}); err != nil {
					t.Fatal(err)
				}
				f := &full{s, c.takes}
				a := newAway(t, f, Limits{})
				a.pass(60_000)
				wantPayloads(t, s, watch, "[]")
				f.takes = math.MaxInt
				a.pass(3 * remainsRetry)
				wantPayloads(t, s, watch, c.want)
				now := a.now
				s = reopen()
				a = newAway(t, s, Limits{})
				a.now = now
				a.pass(60_000)
				wantPayloads(t, s, watch, c.want)
				if left := s.Stats().Sessions; left != 1 && c.expiry != NeverExpires {
					t.Errorf("%d sessions are left", left)
				}
			})
		})
	}
}

// wantPayloads checks the payloads that wait for the session.
func wantPayloads(t *testing.T, s store.Store, id store.SessionID, want string) {
	t.Helper()
	list, err := s.Queue(nil, id, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range list {
		got = append(got, string(e.Message.Payload))
	}
	if slices.Sort(got); fmt.Sprint(got) != want {
		t.Errorf("%v wait, want %s", got, want)
	}
}
