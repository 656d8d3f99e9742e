package hub

import (
	"math"
	"strconv"
	"testing"

	"github.com/nightjarmq/nightjar/internal/budget"
	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
)

// stray is what the session in memory of a member of the group g has left.
func (a *away) stray(payload string) stray {
	return stray{Entry: session.Entry{
		Message: &message.Message{Topic: "t", Payload: []byte(payload), QoS: 1}, QoS: 1, Share: "g/t",
	}}
}

func (a *away) dropped(cause Cause) int64 {
	LocalOf(a.batch).Sync(a.now)
	return a.Totals().Dropped[cause]
}

// TestStrays: what sessions in memory have left while the store takes nothing waits, in order and in pieces, and goes to
// another member when the store takes something, also if that is full again in between. [MQTT-4.8.2-5]
func TestStrays(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store, _ func() store.Store) {
		const most = 2*remainsPiece + 10
		f := &full{s, 0}
		heir := member(t, s, "heir", NeverExpires)
		a := newAway(t, f, Limits{})
		a.cfg.Budget = budget.New(1<<30, 0)
		for i := range most {
			a.passOnOrKeep(a.batch, a.stray(strconv.Itoa(i)))
		}
		a.pass(3 * remainsRetry)
		wantOrder(t, s, heir, 0)
		if a.strays.len() != most || a.cfg.Budget.Used() < most*strayBytes {
			t.Errorf("%d wait, of %d bytes", a.strays.len(), a.cfg.Budget.Used())
		}
		f.takes = 3
		a.pass(2 * remainsRetry)
		wantOrder(t, s, heir, 3)
		f.takes = math.MaxInt
		a.pass(2 * remainsRetry)
		wantOrder(t, s, heir, most)
		if a.strays.len() != 0 || a.strays.bytes != 0 || a.cfg.Budget.Used() != 0 || a.dropped(StoreFailed) != 0 {
			t.Errorf("%d wait, of %d bytes (%d), and %d were dropped",
				a.strays.len(), a.strays.bytes, a.cfg.Budget.Used(), a.dropped(StoreFailed))
		}
	})
}

// TestStraysBudget: they take no more memory than there is for what waits; the rest is dropped, and counted once. So is all
// of it when the store does not heal.
func TestStraysBudget(t *testing.T) {
	for name, c := range map[string]struct {
		refuses error
		waits   bool
	}{"heals": {store.ErrNoSpace, true}, "does not": {store.ErrFenced, false}} {
		t.Run(name, func(t *testing.T) {
			s := store.NewMemory()
			heir := member(t, s, "heir", NeverExpires)
			f := &refusing{s, c.refuses}
			a := newAway(t, f, Limits{})
			a.cfg.Budget = budget.New(32<<10, 0)
			const n = 1000
			for i := range n {
				a.passOnOrKeep(a.batch, a.stray(strconv.Itoa(i)))
			}
			wait := a.strays.len()
			if (wait > 0) != c.waits || wait == n || a.cfg.Budget.Used() > a.cfg.Budget.Size() {
				t.Errorf("%d wait, of %d bytes", wait, a.cfg.Budget.Used())
			}
			f.err = nil
			a.pass(2 * remainsRetry)
			wantOrder(t, s, heir, wait)
			if d := a.dropped(StoreFailed); d != int64(n-wait) {
				t.Errorf("%d were dropped, and %d waited", d, wait)
			}
		})
	}
}

// TestStraysAtTheEnd: a broker that ends offers them once more.
func TestStraysAtTheEnd(t *testing.T) {
	s := store.NewMemory()
	heir := member(t, s, "heir", NeverExpires)
	f := &refusing{s, store.ErrOverloaded}
	a := newAway(t, f, Limits{})
	for i := range remainsPiece + 3 {
		a.passOnOrKeep(a.batch, a.stray(strconv.Itoa(i)))
	}
	f.err = nil
	a.strays.end()
	wantOrder(t, s, heir, remainsPiece+3)
}

// TestUnsentStrays: TestIdentifierAsSessionEnds, when the disk is full by the time that another member is to get the message.
// [MQTT-4.8.2-5]
func TestUnsentStrays(t *testing.T) {
	s := store.NewMemory()
	member(t, s, "c", 60)
	heir := member(t, s, "heir", NeverExpires)
	f := &full{s, math.MaxInt}
	a := newAway(t, f, Limits{})
	submit := a.unsent(t)
	a.pass(61_000)
	f.takes = 1
	submit()
	a.pass(remainsRetry)
	wantOrder(t, s, heir, 0)
	f.takes = math.MaxInt
	a.pass(2 * remainsRetry)
	wantOrder(t, s, heir, 1)
	if st := s.Stats(); st.Sessions != 1 || st.Queued != 1 || a.dropped(StoreFailed) != 0 {
		t.Errorf("the store has %+v, and %d were dropped", st, a.dropped(StoreFailed))
	}
}
