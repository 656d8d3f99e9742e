package hub

import (
	"fmt"
	"testing"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/disk"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// away is a hub with one absent client, "c", that subscribes to "t", on a clock that
// the test moves.
type away struct {
	*Hub
	batch *transport.Batch
	now   int64
}

// newAway opens the store's session, unless it has one, and loads the hub.
func newAway(t *testing.T, s store.Store, lim Limits) *away {
	t.Helper()
	a := &away{now: 1_000_000}
	a.Hub = New(Config{
		Store: s, Now: func() int64 { return a.now }, Limits: lim,
		Batch:   func() *transport.Batch { a.batch.Now = a.now; return a.batch },
		Release: func(*transport.Batch) {},
	})
	a.batch = &transport.Batch{Local: a.NewLocal()}
	if s.Stats().Sessions == 0 {
		id := s.NewSession()
		_, err := s.Submit(
			&store.SessionOpened{Session: id, Epoch: 1, ClientID: "c", Expiry: NeverExpires, Time: a.now},
			&store.Subscribed{Session: id, Filter: "t", Options: packet.Options{QoS: 1}},
			&store.SessionClosed{Session: id, Expiry: NeverExpires, Time: a.now})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Load(); err != nil {
		t.Fatal(err)
	}
	return a
}

// publish publishes a message that lives for so many milliseconds, 0 for ever.
func (a *away) publish(t *testing.T, payload string, life int64) {
	t.Helper()
	m := &message.Message{Topic: "t", Payload: []byte(payload), QoS: 1}
	if life != 0 {
		m.Expires = a.now + life
	}
	pub := &LocalOf(a.batch).Pub
	pub.SetKept(m, a.now)
	if code, _, err := a.Publish(a.batch, nil, pub, 0); code != packet.Success || err != nil {
		t.Fatal(code, err)
	}
}

// pass lets time pass, as [Hub.Run] does.
func (a *away) pass(ms int64) {
	for end := a.now + ms; a.now < end; {
		a.now += 100
		a.Timers().Advance(a.now)
	}
	LocalOf(a.batch).Sync(a.now)
}

func (a *away) want(t *testing.T, queued int, expired int64) {
	t.Helper()
	if st := a.store.Stats(); st.Queued != queued || st.Messages != queued {
		t.Errorf("the store has %d deliveries of %d messages, want %d", st.Queued, st.Messages, queued)
	}
	if n := a.Totals().Dropped[Expired]; n != expired {
		t.Errorf("%d messages have expired, want %d", n, expired)
	}
	if c := a.Find("c"); c.waiting != queued || queued == 0 && (c.bytes != 0 || c.expiring != nil) {
		t.Errorf("the client counts %d messages of %d bytes (%+v), want %d", c.waiting, c.bytes, c.expiring, queued)
	}
}

// stores are an empty store of each kind, with how to open what it holds again.
func stores(t *testing.T, play func(t *testing.T, s store.Store, reopen func() store.Store)) {
	t.Run("memory", func(t *testing.T) {
		s := store.NewMemory()
		play(t, s, func() store.Store { return s })
	})
	t.Run("disk", func(t *testing.T) {
		dir := t.TempDir()
		var s *disk.Store
		open := func() store.Store {
			if s != nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if s, err = disk.Open(dir, disk.Options{}); err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := open()
		t.Cleanup(func() { _ = s.Close() })
		play(t, first, open)
	})
}

// TestExpiredWhileAway: what expires while its client is away leaves the store, is
// counted, and makes room; also when the broker was started anew meanwhile, and when
// there is more than one piece. [MQTT-3.3.2-5]
func TestExpiredWhileAway(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store, reopen func() store.Store) {
		const n = 1500 // more than a piece of each
		a := newAway(t, s, Limits{})
		for range n {
			a.publish(t, "soon", 5_000)
			a.publish(t, "later", 60_000)
			a.publish(t, "never", 0)
		}
		a.pass(4_000)
		a.want(t, 3*n, 0)
		a.pass(20_000)
		a.want(t, 2*n, n)

		again := newAway(t, reopen(), Limits{})
		again.now = a.now
		again.want(t, 2*n, 0)
		again.pass(60_000)
		again.want(t, n, n)
	})
}

// TestTooOldWhileAway: what waits for longer than the queue allows leaves it, is counted,
// and makes room, while its client is away; also when the broker was started anew
// meanwhile, and beside messages that expire.
func TestTooOldWhileAway(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store, reopen func() store.Store) {
		const n = 1500 // more than a piece
		lim := Limits{Queues: map[string]Queue{"c": {Age: 60_000}}}
		a := newAway(t, s, lim)
		for range n {
			a.publish(t, "old", 0)
		}
		a.pass(30_000)
		for range n {
			a.publish(t, "younger", 0)
			a.publish(t, "soon", 5_000)
		}
		a.pass(20_000)
		a.want(t, 2*n, n)
		a.pass(25_000)
		a.want(t, n, 2*n)

		again := newAway(t, reopen(), lim)
		again.now = a.now
		again.publish(t, "new", 0)
		again.pass(30_000)
		again.want(t, 1, n)
		again.pass(60_000)
		again.want(t, 0, n+1)
	})
}

// TestDropOldestAway: a full queue of an absent client gives up what has waited
// longest, by messages and by bytes, and counts it; likewise what it was left by an
// earlier start.
func TestDropOldestAway(t *testing.T) {
	size := (&message.Message{Topic: "t", Payload: []byte("00")}).Size()
	for name, lim := range map[string]Limits{
		"messages": {QueueMessages: 3, DropOldest: true},
		"bytes":    {QueueBytes: 3*size + 1, DropOldest: true},
	} {
		t.Run(name, func(t *testing.T) {
			stores(t, func(t *testing.T, s store.Store, reopen func() store.Store) {
				a := newAway(t, s, lim)
				for i := range 10 {
					a.publish(t, fmt.Sprintf("%02d", i), 0)
				}
				a.pass(100)
				wantQueue(t, a, 7, "07", "08", "09")

				again := newAway(t, reopen(), lim)
				again.publish(t, "10", 0)
				again.pass(100)
				wantQueue(t, again, 1, "08", "09", "10")
			})
		})
	}
}

func wantQueue(t *testing.T, a *away, dropped int64, payloads ...string) {
	t.Helper()
	list, err := a.store.Queue(nil, a.Find("c").durable, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, string(e.Message.Payload))
	}
	if fmt.Sprint(got) != fmt.Sprint(payloads) {
		t.Errorf("the queue has %v, want %v", got, payloads)
	}
	if n := a.Totals().Dropped[QueueFull]; n != dropped {
		t.Errorf("%d messages were dropped, want %d", n, dropped)
	}
	if d := a.Drops(); len(d) != 1 || d[0].Dropped[QueueFull] != dropped {
		t.Errorf("the drops by client are %+v", d)
	}
}

// TestRefusedWhileAway: what the store did not take does not count as waiting.
func TestRefusedWhileAway(t *testing.T) {
	s := &refusing{Store: store.NewMemory()}
	a := newAway(t, s, Limits{QueueMessages: 2})
	s.err = store.ErrNoSpace
	pub := &LocalOf(a.batch).Pub
	for range 3 {
		pub.SetKept(&message.Message{Topic: "t", QoS: 1}, a.now)
		if _, _, err := a.Publish(a.batch, nil, pub, 0); err == nil {
			t.Fatal("no error")
		}
	}
	s.err = nil
	a.publish(t, "1", 0)
	a.publish(t, "2", 0)
	a.want(t, 2, 0)
}

// refusing is a store that takes nothing while there is an error.
type refusing struct {
	store.Store
	err error
}

func (r *refusing) Submit(recs ...store.Record) (store.Ticket, error) {
	if r.err != nil {
		return 0, r.err
	}
	return r.Store.Submit(recs...)
}

func (r *refusing) Refusal() error { return r.err }
