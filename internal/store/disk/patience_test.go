package disk

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
)

// The end of a delivery shares the fsync of what comes next, and waits no longer than Patience when nothing does.
func TestEndedDeliveriesWaitForCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, "data", Options{FS: vfs.NewMem()})
		defer s.Close()
		await := func(ticket store.Ticket, err error) store.Ticket {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // everybody does what does not need time to pass
			return ticket
		}
		id := s.NewSession()
		published := func() *store.Published {
			m := &message.Message{Topic: "t", Payload: []byte("x"), QoS: 1}
			return &store.Published{Message: m, To: []store.Recipient{{Session: id, QoS: 1}}}
		}
		await(s.Submit(&store.SessionOpened{Session: id, Epoch: 1, ClientID: "c"}))
		first := published()
		if now := await(s.Submit(first)); s.Durable() != now {
			t.Fatalf("a message is durable up to %d, want %d", s.Durable(), now)
		}
		before := s.Metrics().Batches

		done := await(s.SubmitLater(&store.Done{Session: id, Seq: first.Seq}))
		if s.Durable() >= done || s.Metrics().Batches != before {
			t.Errorf("the end of a delivery had an fsync of its own")
		}
		second := published()
		if now := await(s.Submit(second)); s.Durable() != now || s.Metrics().Batches != before+1 {
			t.Errorf("durable up to %d, want %d, after %d fsyncs, want 1", s.Durable(), now, s.Metrics().Batches-before)
		}

		third := published()
		await(s.Submit(third))
		if now := await(s.Submit(&store.Done{Session: id, Seq: third.Seq})); s.Durable() != now {
			t.Errorf("durable up to %d, want %d: a packet hangs on the end of this delivery", s.Durable(), now)
		}

		done = await(s.SubmitLater(&store.Done{Session: id, Seq: second.Seq}))
		time.Sleep(Patience) // of the fake clock
		synctest.Wait()
		if s.Durable() != done {
			t.Errorf("durable up to %d, want %d: nothing came, and Patience has passed", s.Durable(), done)
		}
	})
}
