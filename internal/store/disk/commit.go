package disk

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// commit is the committer: it hands what was submitted to Pebble, waits until
// it is on the disk, and says so; until the store closes or fails.
func (s *Store) commit() {
	defer close(s.stopped)
	var timer *time.Timer // runs while a relaxed store has something to sync
	var due <-chan time.Time
	for {
		s.handOver()
		wrote, more := s.settle()
		if wrote && s.opts.Durability == Relaxed && due == nil {
			timer = time.NewTimer(Interval)
			due = timer.C
		}
		if more {
			continue
		}
		select {
		case <-s.wake:
		case <-due:
			due = nil
			s.syncLog()
		case <-s.stop:
			if timer != nil {
				timer.Stop()
			}
			s.handOver() // what came before stop
			s.settle()
			return
		}
	}
}

// handOver gives the batch at hand to Pebble. From then on it can be read. It
// may be called from any goroutine.
func (s *Store) handOver() {
	s.handing.Lock()
	defer s.handing.Unlock()
	s.mu.Lock()
	if s.applied == s.ticket {
		s.mu.Unlock()
		return
	}
	t := taken{batch: s.batch, upto: s.ticket, records: s.records}
	s.applied, s.records = s.ticket, 0
	if t.batch.Empty() {
		t.batch = nil
	} else {
		s.batch = s.nextBatch()
	}
	s.mu.Unlock()
	if t.batch != nil {
		if err := s.write(t.batch); err != nil {
			s.fence(err)
		}
	}
	s.mu.Lock()
	s.syncing = append(s.syncing, t)
	rouse := s.rouse()
	s.mu.Unlock()
	if rouse {
		s.rousing()
	}
}

func (s *Store) nextBatch() *pebble.Batch {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return b
	}
	return s.db.NewBatch()
}

// maxSpare is how many batches are kept for the next submissions.
const maxSpare = 3

// write hands the batch to Pebble. Pebble panics when it cannot go on; that is
// an error like others. handing is held.
func (s *Store) write(b *pebble.Batch) (err error) {
	if f := s.failed.Load(); f != nil {
		return f.err
	}
	defer func() {
		if r := recover(); r != nil {
			err = recovered(r)
		}
	}()
	if s.opts.Durability == Sync {
		return s.db.ApplyNoSyncWait(b, pebble.Sync)
	}
	return s.db.Apply(b, pebble.NoSync)
}

func recovered(r any) error {
	if err, ok := r.(error); ok {
		return err
	}
	return fmt.Errorf("%v", r)
}

// settle waits for the disk to have what was handed over, and says so. It
// reports whether something was written, and whether there is more to hand
// over. When there is not, the committer counts as idle.
func (s *Store) settle() (wrote, more bool) {
	s.mu.Lock()
	list := s.syncing
	s.syncing = nil
	if len(list) == 0 {
		more = s.applied != s.ticket
		s.idle = !more
		s.mu.Unlock()
		return false, more
	}
	s.mu.Unlock()
	for i := range list {
		wrote = wrote || list[i].batch != nil
		s.settleOne(&list[i])
	}
	return wrote, true
}

func (s *Store) settleOne(t *taken) {
	began := time.Now()
	if t.batch != nil && s.opts.Durability == Sync && s.failed.Load() == nil {
		if err := t.batch.SyncWait(); err != nil {
			s.fence(err)
		}
	}
	if s.failed.Load() != nil {
		return // fence has told, and nothing is durable from there on
	}
	s.mu.Lock()
	if t.batch != nil {
		s.metrics.count(t.records, t.batch.Len(), time.Since(began))
		if len(s.spare) < maxSpare {
			t.batch.Reset()
			s.spare = append(s.spare, t.batch)
		} else {
			_ = t.batch.Close() // gives its memory back; there is nothing to fail
		}
	}
	s.mu.Unlock()
	s.durable.Store(uint64(t.upto))
	if s.onDurable != nil {
		s.onDurable(t.upto, nil)
	}
}

// syncLog makes durable what a relaxed store has written.
func (s *Store) syncLog() {
	err := s.guard(func() error { return s.db.LogData(nil, pebble.Sync) })
	if err != nil {
		s.fence(err)
	}
}

// fence ends all durability: Submit fails, Durable rises no more. It is called
// from within file system operations, so it must not wait for anything.
func (s *Store) fence(err error) {
	f := &failure{err: err, told: make(chan struct{})}
	if !s.failed.CompareAndSwap(nil, f) {
		return
	}
	close(s.fenced)
	s.log.Error("the store is fenced: nothing more is stored until it is opened again", "dir", s.dir, "err", err)
	go s.tell(f) // Close waits for it
}

func (s *Store) tell(f *failure) {
	defer close(f.told)
	s.mu.Lock()
	told := s.onDurable
	s.mu.Unlock()
	if told != nil {
		told(s.Durable(), fmt.Errorf("%w: %w", ErrFenced, f.err))
	}
}

// Err returns why the store takes no more submissions, nil if it does.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.refuse()
	if errors.Is(err, ErrOverloaded) {
		return nil
	}
	return err
}
