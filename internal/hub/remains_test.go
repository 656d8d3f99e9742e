package hub

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// TestRemains: the session of an absent member of a group ends while many messages
// wait for it. Another member gets them all, once and in order, in pieces, also when
// the broker is started anew in between; then the session is gone. [MQTT-4.8.2-5]
func TestRemains(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store, reopen func() store.Store) {
		const most = 3*remainsPiece + 10
		member(t, s, "c", 60)
		a := newAway(t, s, Limits{})
		for i := range most {
			a.publish(t, strconv.Itoa(i), 0)
		}
		heir := member(t, s, "heir", NeverExpires)

		a = newAway(t, s, Limits{}) // now it knows both
		a.pass(60_000)
		wantOrder(t, s, heir, remainsPiece)
		s = reopen()
		now := a.now
		a = newAway(t, s, Limits{})
		a.now = now
		a.pass(1_000)
		wantOrder(t, s, heir, most)
		if st := s.Stats(); st.Sessions != 1 || st.Messages != most || st.Queued != most {
			t.Errorf("the store has %+v", st)
		}
		if a.Find("c") != nil || a.Find("heir").waiting != most {
			t.Errorf("c is %v, and %d messages wait for the heir", a.Find("c"), a.Find("heir").waiting)
		}
	})
}

// TestFormerMemberRemains: likewise with a client that gave its subscription up, when the broker is started anew before its
// session ends. [MQTT-4.8.2-5]
func TestFormerMemberRemains(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store, reopen func() store.Store) {
		id := member(t, s, "c", 60)
		a := newAway(t, s, Limits{})
		for i := range 3 {
			a.publish(t, strconv.Itoa(i), 0)
		}
		if _, err := s.Submit(&store.Unsubscribed{Session: id, Filter: "$share/g/t"}); err != nil {
			t.Fatal(err)
		}
		heir := member(t, s, "heir", NeverExpires)
		s = reopen()
		a = newAway(t, s, Limits{})
		a.pass(62_000)
		wantOrder(t, s, heir, 3)
		if st := s.Stats(); st.Sessions != 1 {
			t.Errorf("the store has %+v", st)
		}
	})
}

// member stores an absent member of the group g.
func member(t *testing.T, s store.Store, id string, expiry uint32) store.SessionID {
	t.Helper()
	n := s.NewSession()
	if _, err := s.Submit(
		&store.SessionOpened{Session: n, Epoch: 1, ClientID: id, Expiry: expiry, Time: 1_000_000},
		&store.Subscribed{Session: n, Filter: "$share/g/t", Options: packet.Options{QoS: 1}},
		&store.SessionClosed{Session: n, Expiry: expiry, Time: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	return n
}

// wantOrder checks that the first n messages wait for the session, and nothing else.
func wantOrder(t *testing.T, s store.Store, id store.SessionID, n int) {
	t.Helper()
	list, err := s.Queue(nil, id, 0, n+1)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for i := range n {
		want = append(want, strconv.Itoa(i))
	}
	for _, e := range list {
		got = append(got, string(e.Message.Payload))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d messages wait, want %d in order: %v", len(got), n, got)
	}
}

// full is a store that takes nothing for a while, and then so many submissions that it is full again.
type full struct {
	store.Store
	takes int
}

func (f *full) Submit(recs ...store.Record) (store.Ticket, error) {
	if f.takes == 0 {
		return 0, store.ErrNoSpace
	}
	f.takes--
	return f.Store.Submit(recs...)
}

func (f *full) Refusal() error {
	if f.takes == 0 {
		return store.ErrNoSpace
	}
	return nil
}

// TestRemainsFull: while the store takes nothing, what an ended session has left for others stays where it is, also when the
// store does not even take the end of the session: that is made up for, but not before others have what is left.
// [MQTT-4.8.2-5]
func TestRemainsFull(t *testing.T) {
	for _, c := range []struct{ takes, passedOn int }{
		{takes: 0, passedOn: 0},
		{takes: 4, passedOn: 3}, // the end of the session, and three messages
	} {
		stores(t, func(t *testing.T, s store.Store, _ func() store.Store) {
			f := &full{s, math.MaxInt}
			member(t, s, "c", 60)
			a := newAway(t, f, Limits{})
			for i := range 10 {
				a.publish(t, strconv.Itoa(i), 0)
			}
			heir := member(t, s, "heir", NeverExpires)
			a = newAway(t, f, Limits{})
			f.takes = c.takes
			a.pass(61_000)
			wantOrder(t, s, heir, c.passedOn)
			f.takes = math.MaxInt
			a.pass(2 * remainsRetry)
			wantOrder(t, s, heir, 10)
			if st := s.Stats(); st.Sessions != 1 || a.Find("heir").waiting != 10 {
				t.Errorf("the store has %+v, and %d messages wait for the heir", st, a.Find("heir").waiting)
			}
		})
	}
}

// TestOwedDelivery: the end of a delivery that the store has not taken yet is stored before what an ended session has left is
// read, so that nobody gets its message again.
func TestOwedDelivery(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store, _ func() store.Store) {
		id := member(t, s, "c", 60)
		a := newAway(t, s, Limits{})
		for _, payload := range []string{"had", "0", "1"} {
			a.publish(t, payload, 0)
		}
		c := a.Find("c")
		first := s.Waiting(nil, id, 0, 1)
		if _, err := s.Submit(&store.Unsubscribed{Session: id, Filter: "$share/g/t"}); err != nil {
			t.Fatal(err)
		}
		heir := member(t, s, "heir", NeverExpires)
		a = newAway(t, s, Limits{})
		a.owe(&store.Done{Session: id, Seq: first[0].Seq})
		left := &remains{hub: a.Hub, client: c, session: id}
		if next := left.pass(a.batch); next != 0 {
			t.Errorf("it goes on at %d", next)
		}
		wantOrder(t, s, heir, 2)
	})
}

// during is a store that does something, once, before it takes the message for a session.
type during struct {
	store.Store
	session store.SessionID
	do      func()
}

func (d *during) Submit(recs ...store.Record) (store.Ticket, error) {
	if p, ok := recs[0].(*store.Published); ok && d.do != nil && len(p.To) == 1 && p.To[0].Session == d.session {
		do := d.do
		d.do = nil
		do()
	}
	return d.Store.Submit(recs...)
}

// TestOfferedAsSessionEnds: a member takes a message, and its session ends before the
// store has it. Another member gets it. [MQTT-4.8.2-5]
func TestOfferedAsSessionEnds(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store, _ func() store.Store) {
		d := &during{Store: s, session: member(t, s, "c", 60)}
		heir := member(t, s, "heir", NeverExpires)
		a := newAway(t, d, Limits{})
		timers := a.batch
		ended := false
		d.do = func() {
			other := a.batch
			a.batch = timers
			a.pass(61_000)
			a.batch = other
			ended = a.Find("c") == nil
		}
		a.batch = &transport.Batch{Now: a.now, Local: a.NewLocal()}
		for i := range 4 { // one of them is for c
			a.publish(t, strconv.Itoa(i), 0)
		}
		if !ended {
			t.Fatal("the session has not ended while a message was on its way to it")
		}
		a.pass(1_000)
		list, err := s.Queue(nil, heir, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, e := range list {
			got[string(e.Message.Payload)]++
		}
		if fmt.Sprint(got) != "map[0:1 1:1 2:1 3:1]" {
			t.Errorf("the heir has %v", got)
		}
		if st := s.Stats(); st.Sessions != 1 || st.Queued != 4 {
			t.Errorf("the store has %+v", st)
		}
	})
}

// unsent gives the member c of the group g a message of QoS 2, with an identifier of its
// session. It gets into the store, and is sent, with submit.
func (a *away) unsent(t *testing.T) (submit func()) {
	t.Helper()
	b := &transport.Batch{Now: a.now, Local: a.NewLocal()}
	l := local(b)
	l.Pub.SetKept(&message.Message{Topic: "t", Payload: []byte("0"), QoS: 2}, a.now)
	l.begin()
	c := a.Find("c")
	c.mu.Lock()
	defer c.mu.Unlock()
	l.addPending(c, &session.Entry{QoS: 2, Share: "g/t"}, 5)
	return func() {
		t.Helper()
		if _, err := a.submit(b, l, nil, &l.Pub, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIdentifierAsSessionEnds: likewise, but with QoS 2 and an identifier of the session
// that ends: it was never sent with it, so another member may have it. [MQTT-4.8.2-5]
func TestIdentifierAsSessionEnds(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store, _ func() store.Store) {
		member(t, s, "c", 60)
		heir := member(t, s, "heir", NeverExpires)
		a := newAway(t, s, Limits{})
		submit := a.unsent(t)
		a.pass(61_000)
		submit()
		a.pass(1_000)
		wantOrder(t, s, heir, 1)
		if st := s.Stats(); st.Sessions != 1 || st.Queued != 1 {
			t.Errorf("the store has %+v", st)
		}
	})
}

// TestUnfiledByMany: one message comes to a client by as many shared subscriptions as a counter of 16 bits cannot tell from none.
// While they are on their way to the store it is known that some are.
func TestUnfiledByMany(t *testing.T) {
	const most = 1 << 16
	s := store.NewMemory()
	id := s.NewSession()
	recs := []store.Record{&store.SessionOpened{Session: id, Epoch: 1, ClientID: "c", Expiry: NeverExpires, Time: 1_000_000}}
	for i := range most {
		recs = append(recs, &store.Subscribed{Session: id, Filter: fmt.Sprintf("$share/%d/t", i), Options: packet.Options{QoS: 1}})
	}
	recs = append(recs, &store.SessionClosed{Session: id, Expiry: NeverExpires, Time: 1_000_000})
	if _, err := s.Submit(recs...); err != nil {
		t.Fatal(err)
	}
	d := &during{Store: s, session: id}
	a := newAway(t, d, Limits{})
	asked, unfiled := false, false
	d.do = func() { asked, unfiled = true, a.Find("c").unfiled() }
	a.publish(t, "0", 0)
	if !asked || !unfiled || a.Find("c").unfiled() {
		t.Errorf("asked: %t; on their way: %t, and then: %t", asked, unfiled, a.Find("c").unfiled())
	}
	if st := s.Stats(); st.Queued != most {
		t.Errorf("%d copies are in the store, want %d", st.Queued, most)
	}
}
