package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
)

// patience is how long an event may take that must come.
const patience = 30 * time.Second

// submissions checks what Submit promises to many goroutines.
func submissions(t *testing.T, open Open) {
	t.Run("tickets and sequence numbers rise together", func(t *testing.T) { rise(t, open) })
	t.Run("a submission is seen whole", func(t *testing.T) { whole(t, open) })
	t.Run("a ticket becomes durable", func(t *testing.T) { durable(t, open) })
	t.Run("readers and writers of everything", func(t *testing.T) { everything(t, open) })
	t.Run("a closed store", func(t *testing.T) { closed(t, open) })
}

// given is what one call of Submit gave out.
type given struct {
	ticket store.Ticket
	seq    store.Seq
}

// Whatever goroutine submits: the order of tickets is the order of sequence
// numbers, and each queue has its messages in that order.
func rise(t *testing.T, open Open) {
	const submitters, each = 8, 100
	s := open(t)
	defer s.Close()
	shared := openSession(t, s, "shared")
	all := make([][]given, submitters)
	var wg sync.WaitGroup
	for i := range submitters {
		wg.Go(func() {
			p := &store.Published{}
			for range each {
				*p = store.Published{Message: msg("a=1"), To: []store.Recipient{{Session: shared, QoS: 1}}}
				ticket, err := s.Submit(p)
				if err != nil {
					t.Errorf("Submit: %v", err)
					return
				}
				all[i] = append(all[i], given{ticket, p.Seq})
			}
		})
	}
	wg.Wait()
	for i, gs := range all {
		if !slices.IsSortedFunc(gs, func(a, b given) int { return int(a.ticket) - int(b.ticket) }) {
			t.Errorf("the tickets of submitter %d do not rise", i)
		}
	}
	gs := slices.Concat(all...)
	slices.SortFunc(gs, func(a, b given) int { return int(a.ticket) - int(b.ticket) })
	for i := 1; i < len(gs); i++ {
		if gs[i].ticket == gs[i-1].ticket || gs[i].seq <= gs[i-1].seq {
			t.Fatalf("ticket %d has message %d, ticket %d has message %d", gs[i-1].ticket, gs[i-1].seq, gs[i].ticket, gs[i].seq)
		}
	}
	queue, err := s.Queue(nil, shared, 0, submitters*each+1)
	if err != nil || len(queue) != submitters*each {
		t.Fatalf("%d messages are queued, %v; want %d", len(queue), err, submitters*each)
	}
	for i, e := range queue {
		if e.Seq != gs[i].seq {
			t.Fatalf("message %d of the queue is %d, want %d", i, e.Seq, gs[i].seq)
		}
	}
}

func openSession(t *testing.T, s store.Store, client string) store.SessionID {
	t.Helper()
	id := s.NewSession()
	if _, err := s.Submit(&store.SessionOpened{Session: id, Epoch: 1, ClientID: client}); err != nil {
		t.Fatalf("Submit: %v", err)
	}
	return id
}

// Two records of one submission: whoever sees the first sees the second.
func whole(t *testing.T, open Open) {
	const n = 300
	s := open(t)
	defer s.Close()
	first, second := openSession(t, s, "first"), openSession(t, s, "second")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			_, err := s.Submit(
				&store.Published{Message: msg("a=1"), To: []store.Recipient{{Session: first, QoS: 1}}},
				&store.Published{Message: msg("a=2"), To: []store.Recipient{{Session: second, QoS: 1}}},
			)
			if err != nil {
				t.Errorf("Submit: %v", err)
				return
			}
		}
	}()
	var a, b []store.Entry
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		a, _ = s.Queue(a[:0], first, 0, n)
		b, _ = s.Queue(b[:0], second, 0, n)
		if len(b) < len(a) {
			t.Errorf("the first record was seen %d times, then the second %d times", len(a), len(b))
			break
		}
	}
	<-done
	if len(a) != n {
		t.Errorf("%d of %d submissions were seen", len(a), n)
	}
}

func durable(t *testing.T, open Open) {
	s := open(t)
	defer s.Close()
	risen := make(chan struct{}, 1)
	s.OnDurable(func(ticket store.Ticket, err error) {
		if err != nil || s.Durable() < ticket {
			t.Errorf("OnDurable's function was called with %d, %v, while Durable is %d", ticket, err, s.Durable())
		}
		select {
		case risen <- struct{}{}:
		default:
		}
	})
	deadline := time.After(patience)
	for range 20 {
		ticket, err := s.Submit(&store.SessionOpened{Session: s.NewSession(), Epoch: 1})
		if err != nil {
			t.Fatalf("Submit: %v", err)
		}
		for s.Durable() < ticket {
			select {
			case <-risen:
			case <-deadline:
				t.Fatalf("ticket %d is not durable, Durable is %d", ticket, s.Durable())
			}
		}
	}
}

// everything lets all methods run at once, for the race detector, and checks
// that what was opened and removed leaves nothing behind.
func everything(t *testing.T, open Open) {
	const workers, rounds = 4, 40
	s := open(t)
	defer s.Close()
	shared := openSession(t, s, "shared")
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				if err := life(s, shared); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				if err := readAll(s); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	want := store.Stats{Sessions: 1}
	if got := s.Stats(); got != want {
		t.Errorf("in the end the store holds %+v, want %+v", got, want)
	}
}

// life is all that can happen to a session, which shares its messages with
// another.
func life(s store.Store, shared store.SessionID) error {
	id := s.NewSession()
	p := &store.Published{Message: msg("a=1"), Retain: true, From: id, FromID: 1, To: []store.Recipient{
		{Session: id, Epoch: 1, PacketID: 1, QoS: 2},
		{Session: shared, QoS: 1},
	}}
	q := &store.Published{Message: msg("a=2"), To: []store.Recipient{{Session: id, QoS: 1}, {Session: shared, QoS: 1}}}
	_, err := s.Submit(&store.SessionOpened{Session: id, Epoch: 1}, &store.Subscribed{Session: id, Filter: "a"}, p, q)
	if err != nil {
		return err
	}
	_, err = s.Submit(
		&store.Received{Session: id, Seq: p.Seq, PacketID: 1},
		&store.Sent{Session: id, Seq: q.Seq, PacketID: 2},
		&store.Done{Session: shared, Seq: q.Seq},
	)
	if err != nil {
		return err
	}
	_, err = s.Submit(
		&store.Done{Session: shared, Seq: p.Seq},
		&store.SessionClosed{Session: id, Time: 5},
		&store.SessionRemoved{Session: id},
		&store.Published{Message: msg("a="), Retain: true},
	)
	return err
}

func readAll(s store.Store) error {
	var err error
	bad := s.Sessions(func(info *store.SessionInfo) bool {
		if _, err = s.Resume(info.Session); err != nil {
			return false
		}
		_, err = s.Queue(nil, info.Session, 0, 10)
		return err == nil
	})
	if err == nil {
		err = bad
	}
	return err
}

func closed(t *testing.T, open Open) {
	s := open(t)
	ticket, err := s.Submit(&store.SessionOpened{Session: s.NewSession(), Epoch: 1})
	if err != nil {
		t.Fatalf("Submit: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if s.Durable() < ticket {
		t.Errorf("Close returned without an error and ticket %d is not durable", ticket)
	}
	_, submit := s.Submit()
	_, resume := s.Resume(1)
	_, queue := s.Queue(nil, 1, 0, 1)
	for what, err := range map[string]error{
		"Submit":   submit,
		"Resume":   resume,
		"Queue":    queue,
		"Sessions": s.Sessions(func(*store.SessionInfo) bool { return true }),
		"Retained": s.Retained(func(*message.Message) bool { return true }),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", what, err)
		}
	}
}
