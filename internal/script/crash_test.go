package script

import (
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// journal is a store that writes down what it is given, so that a store can be made
// that has what was given to it up to some moment: what a crash there leaves.
type journal struct {
	*store.Memory
	mu     sync.Mutex // makes the order written the order applied
	pieces [][]byte   // guarded by mu
}

func (j *journal) Submit(recs ...store.Record) (store.Ticket, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t, err := j.Memory.Submit(recs...)
	var piece []byte
	for _, r := range recs {
		piece = store.AppendRecord(piece, r)
	}
	j.pieces = append(j.pieces, piece)
	return t, err
}

func (j *journal) SubmitLater(recs ...store.Record) (store.Ticket, error) { return j.Submit(recs...) }

// crashed is a store that has the pieces, and the wills that connections in them have.
func crashed(t *testing.T, pieces [][]byte) (s *store.Memory, wills map[string]int) {
	t.Helper()
	s, wills = store.NewMemory(), map[string]int{}
	for _, b := range pieces {
		var recs []store.Record
		for len(b) > 0 {
			r, n, err := store.DecodeRecord(b)
			if err != nil {
				t.Fatal(err)
			}
			if o, ok := r.(*store.SessionOpened); ok && o.Will != nil {
				wills[string(o.Will.Message.Payload)] = 1
			}
			recs = append(recs, r)
			b = b[n:]
		}
		if _, err := s.Submit(recs...); err != nil {
			t.Fatal(err)
		}
	}
	return s, wills
}

// ends are conversations in which connections with wills end, in all ways. Each will
// has the payload that it is known by.
var ends = []struct {
	name    string
	talk    string
	never   string // wills that must not come, if all of this has happened
	delayed bool   // a connection that comes after the crash may withdraw a will
}{
	{name: "cut off", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=1
		a drops`},
	{name: "cut off, retained", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=1 will-retain=1 will-payload=1
		a drops`},
	{name: "taken over", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=1
		b> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=2
		b drops`},
	{name: "taken over, 3.1.1", talk: `
		a> CONNECT v=4 id=a clean=0 will-topic=will will-qos=2 will-payload=1
		b> CONNECT v=4 id=a clean=0
		b> DISCONNECT`},
	{name: "taken over again and again, with subscriptions of its own", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=1
		a> SUBSCRIBE id=1 will qos=2 other qos=1
		b> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=2
		c> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=3
		d> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=other will-qos=1 will-payload=elsewhere
		e> CONNECT v=5 id=a clean=1 session-expiry=100 will-topic=will will-qos=2 will-payload=4`,
		never: "elsewhere"}, // the watcher does not see it
	{name: "Clean Start", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=1
		b> CONNECT v=5 id=a clean=1 session-expiry=100 will-topic=will will-qos=2 will-payload=2
		c> CONNECT v=5 id=a clean=1`},
	{name: "Clean Start, member of a group", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=1
		a> SUBSCRIBE id=1 $share/g/t qos=1
		b> CONNECT v=5 id=a clean=1`},
	{name: "Clean Start while it waits", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=1 will-delay-interval=50
		a drops
		advance 3s
		b> CONNECT v=5 id=a clean=1`, delayed: true},
	{name: "its delay", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=1 will-delay-interval=5
		a drops
		advance 10s`, delayed: true},
	{name: "the session's end", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=5 will-topic=will will-qos=2 will-payload=1 will-delay-interval=50
		a drops
		advance 10s`, delayed: true},
	{name: "the session ends with the connection", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=1 will-delay-interval=50
		a> DISCONNECT code=0x04 session-expiry=0`, delayed: true},
	{name: "in time", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=1 will-delay-interval=50
		a drops
		b> CONNECT v=5 id=a clean=0 session-expiry=100`, never: "1", delayed: true},
	{name: "taken over in time", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=1 will-delay-interval=50
		b> CONNECT v=5 id=a clean=0 session-expiry=100`, never: "1", delayed: true},
	{name: "DISCONNECT", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=1
		a> DISCONNECT`, never: "1"},
	{name: "not allowed", talk: `
		a> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=forbidden will-qos=2 will-payload=1
		b> CONNECT v=5 id=a clean=0 session-expiry=100 will-topic=will will-qos=2 will-payload=2`, never: "1"},
}

// TestWillAtEveryCrash ends connections and sessions that have wills, and lets the
// broker crash at each moment of that, between any two things that it stores. Started
// again, each will that it knew comes, once, also if the client is back first.
// [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.1.3-9]
func TestWillAtEveryCrash(t *testing.T) {
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			whole := &journal{Memory: store.NewMemory()}
			watch := whole.NewSession()
			if _, err := whole.Submit(
				&store.SessionOpened{Session: watch, Epoch: 1, ClientID: "watch", Expiry: hub.NeverExpires},
				&store.Subscribed{Session: watch, Filter: "will", Options: packet.Options{QoS: 2}},
				&store.SessionClosed{Session: watch, Expiry: hub.NeverExpires}); err != nil {
				t.Fatal(err)
			}
			talkTo(t, whole, e.talk)
			for n := 1; n <= len(whole.pieces); n++ {
				for _, back := range []string{"", "z> CONNECT v=5 id=a clean=0 session-expiry=100"} {
					if back != "" && e.delayed {
						continue
					}
					s, want := crashed(t, whole.pieces[:n])
					talkTo(t, s, back)
					got := seen(t, s, watch)
					if _, there := got[e.never]; !there && e.never != "" {
						delete(want, e.never) // some of what withdraws it may be lost
					}
					if n == len(whole.pieces) {
						delete(want, e.never)
					}
					if !maps.Equal(got, want) {
						t.Errorf("crash behind %d of %d, then %q: wills that came %v, want %v", n, len(whole.pieces), back, got, want)
					}
				}
			}
		})
	}
}

// talkTo has a broker on the store, and lets it be for a while when all is said.
func talkTo(t *testing.T, s store.Store, talk string) {
	t.Helper()
	script, err := Parse(talk + "\nadvance 120s")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := assemble(t, s, notForbidden{})
		defer p.stop()
		w := &World{Dial: p.dial, Pass: time.Sleep, Settle: synctest.Wait}
		if err := Run(script, w); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// seen counts what waits for the session, by payload.
func seen(t *testing.T, s store.Store, id store.SessionID) map[string]int {
	t.Helper()
	list, err := s.Queue(nil, id, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, e := range list {
		got[string(e.Message.Payload)]++
	}
	return got
}

// notForbidden allows everything but to publish to "forbidden".
type notForbidden struct{}

func (notForbidden) Publish(_ *hub.Client, name []byte, _ byte, _ bool) bool {
	return string(name) != "forbidden"
}
func (notForbidden) Subscribe(*hub.Client, topic.Filter, byte) bool { return true }
func (notForbidden) Receive(*hub.Client, []byte) bool               { return true }
