package hub

import (
	"fmt"
	"testing"

	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/packet"
)

// TestManyFilters: the session of a client with very many filters ends. They leave the
// routes in pieces, so that nobody waits for it, and it gets nothing meanwhile.
func TestManyFilters(t *testing.T) {
	const most = 2*formerPiece + 10
	s := store.NewMemory()
	id := s.NewSession()
	recs := []store.Record{&store.SessionOpened{Session: id, Epoch: 1, ClientID: "c", Expiry: 60, Time: 1_000_000}}
	for i := range most - 1 {
		recs = append(recs, &store.Subscribed{Session: id, Filter: fmt.Sprintf("$share/g/a/%d", i), Options: packet.Options{QoS: 1}})
	}
	recs = append(recs,
		&store.Subscribed{Session: id, Filter: "t", Options: packet.Options{QoS: 1}},
		&store.SessionClosed{Session: id, Expiry: 60, Time: 1_000_000})
	if _, err := s.Submit(recs...); err != nil {
		t.Fatal(err)
	}
	a := newAway(t, s, Limits{})
	for _, want := range []int{most, most - formerPiece, most - 2*formerPiece, 0} {
		switch want {
		case most:
			a.pass(59_900)
		default:
			a.pass(100)
			if want > 0 {
				a.publish(t, "nobody", 0)
			}
		}
		if got := a.routes.Len(); got != want {
			t.Errorf("%d subscriptions are left, want %d", got, want)
		}
	}
	if st := s.Stats(); st.Sessions != 0 || st.Queued != 0 || a.Find("c") != nil || a.shared.Load() != 0 {
		t.Errorf("the store has %+v, c is %v, and there are %d shared subscriptions", st, a.Find("c"), a.shared.Load())
	}
}
