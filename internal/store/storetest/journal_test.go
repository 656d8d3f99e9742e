package storetest

import (
	"sync"
	"testing"

	"github.com/nightjarmq/nightjar/internal/store"
)

// A journal is a memory store that writes down every record, and is opened
// again by reading them. It shows that the suite's reopens work, that what
// is written of a record is all of it, and that the same records make the same
// state.
type journal struct {
	store.Store
	mu      sync.Mutex // makes the order written the order applied
	written []byte
}

func (j *journal) Submit(recs ...store.Record) (store.Ticket, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t, err := j.Store.Submit(recs...)
	if err != nil {
		return 0, err
	}
	for _, r := range recs {
		j.written = store.AppendRecord(j.written, r)
	}
	return t, nil
}

func (j *journal) SubmitLater(recs ...store.Record) (store.Ticket, error) { return j.Submit(recs...) }

func reopenJournal(t *testing.T, s store.Store) store.Store {
	t.Helper()
	old := s.(*journal)
	if err := old.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	j := &journal{Store: store.NewMemory(), written: old.written}
	for b := old.written; len(b) > 0; {
		r, n, err := store.DecodeRecord(b)
		if err != nil {
			t.Fatalf("read the journal: %v", err)
		}
		if _, err := j.Store.Submit(r); err != nil {
			t.Fatalf("apply the journal: %v", err)
		}
		b = b[n:]
	}
	return j
}

func TestJournal(t *testing.T) {
	RunDurable(t, func(*testing.T) store.Store { return &journal{Store: store.NewMemory()} }, reopenJournal)
}
