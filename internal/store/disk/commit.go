package disk

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nightjarmq/nightjar/internal/failpoint"

	"github.com/nightjarmq/nightjar/internal/store"
)

// Two goroutines bring what was submitted to the disk. The first hands batches
// to Pebble, one at a time: the next when the fsync of the one before is done, or
// as soon as somebody wants to read. The second waits for the fsyncs and tells.
// When the disk fails, either may be stuck in Pebble for good, and nobody waits
// for them then.

// handOver is the first goroutine. It ends when the store is closed and
// everything has been handed over. It never waits for the second one, which may wait
// for a client that waits to read what is handed over next.
func (s *Store) handOver() {
	defer close(s.handed)
	for {
		t, ok := s.take()
		if !ok {
			return
		}
		if t.batch != nil {
			s.batches++
			t.num = s.batches
			witness(t.batch, t.num, s.synced.Load())
			failpoint.Reach("batch.before")
			if s.failed.Load() != nil { // Pebble may be told to end: see letGo
				return
			}
			if err := s.write(t.batch); err != nil {
				s.fence(err)
				return
			}
			failpoint.Reach("batch.after")
		}
		s.mu.Lock()
		s.visible = t.upto
		s.wakeReaders()
		s.line = append(s.line, t)
		s.mu.Unlock()
		select {
		case s.handed <- struct{}{}:
		default: // it knows already
		}
	}
}

// take waits until there is something to hand over and it is time for it.
func (s *Store) take() (t taken, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.taken == s.ticket || (s.syncing > 0 || s.taken >= s.urgent) && s.readers == nil && !s.closed {
		if s.closed {
			return t, false
		}
		s.work.Wait()
	}
	t = taken{batch: s.batch, upto: s.ticket, records: s.records}
	s.taken, s.records = s.ticket, 0
	s.syncing++
	if t.batch.Empty() {
		t.batch = nil
	} else {
		s.batch = s.nextBatch()
	}
	return t, true
}

// wakeReaders lets those who wait in begin look again. mu is held.
func (s *Store) wakeReaders() {
	if s.readers != nil {
		close(s.readers)
		s.readers = nil
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
// an error like others.
func (s *Store) write(b *pebble.Batch) (err error) {
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

// settle is the second goroutine.
func (s *Store) settle() {
	defer close(s.stopped)
	var due <-chan time.Time  // of a relaxed store that has something to sync
	var rest <-chan time.Time // after something was written
	for {
		select {
		case _, more := <-s.handed:
			wrote, ok := s.settleLine()
			if !ok || !more {
				return
			}
			if wrote && s.opts.Durability == Relaxed && due == nil {
				due = time.After(Interval)
			}
			if wrote && rest == nil {
				rest = time.After(tidyAfter)
			}
		case <-due:
			due = nil
			s.syncLog()
		case <-rest:
			rest = nil
			s.startTidy()
		}
	}
}

// settleLine settles what was handed over, and reports whether something was
// written. It returns ok false when the store is fenced.
func (s *Store) settleLine() (wrote, ok bool) {
	for {
		s.mu.Lock()
		line := s.line
		s.line = nil
		s.mu.Unlock()
		if len(line) == 0 {
			return wrote, true
		}
		for i := range line {
			wrote = wrote || line[i].batch != nil
			if !s.settleOne(&line[i]) {
				return wrote, false
			}
		}
	}
}

// settleOne waits until a batch is on the disk and says so. It returns false
// when the store is fenced.
func (s *Store) settleOne(t *taken) bool {
	if t.batch != nil && s.opts.Durability == Sync {
		if err := t.batch.SyncWait(); err != nil {
			s.fence(err)
		} else {
			s.synced.Store(t.num)
		}
	}
	s.mu.Lock()
	if s.failed.Load() != nil {
		s.mu.Unlock()
		return false // fence has told, and nothing is durable from there on
	}
	if t.batch != nil {
		s.metrics.count(t.records, t.batch.Len())
		s.recycle(t.batch)
	}
	failpoint.Reach("durable.before")
	s.durable.Store(uint64(t.upto))
	s.syncing--
	if s.syncing == 0 && s.taken < s.urgent {
		s.work.Signal()
	}
	told := s.onDurable
	s.mu.Unlock()
	if told != nil {
		told(t.upto, nil)
	}
	return true
}

// recycle keeps the memory of a batch for another one. mu is held.
func (s *Store) recycle(b *pebble.Batch) {
	if len(s.spare) < maxSpare {
		b.Reset()
		s.spare = append(s.spare, b)
		return
	}
	_ = b.Close() // it is memory
}

// syncLog makes durable what a relaxed store has written.
func (s *Store) syncLog() {
	s.mu.Lock()
	upto := s.metrics.Batches // all of them are in the log
	s.mu.Unlock()
	err := s.guard(func() error { return s.db.LogData(nil, pebble.Sync) })
	if err != nil {
		s.fence(err)
		return
	}
	s.synced.Store(uint64(upto))
}

// fence ends all durability: Submit fails, Durable rises no more. It is called
// from within file system operations, so it must not wait for anything.
func (s *Store) fence(err error) {
	f := &failure{err: err, told: make(chan struct{})}
	if !s.failed.CompareAndSwap(nil, f) {
		return
	}
	close(s.fenced)
	if s.fs.running.Load() && !s.isClosing() { // or Open returns it, or Close
		s.log.Error("the store failed: nothing more is stored or acknowledged until the broker is started again", "dir", s.dir, "err", reason(err))
	}
	go s.tell(f) // Close waits for it
}

func (s *Store) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// tell says that the store is fenced. What settleOne has not told by then, it
// does not tell.
func (s *Store) tell(f *failure) {
	defer close(f.told)
	s.mu.Lock()
	told := s.onDurable
	s.mu.Unlock()
	if told != nil {
		told(s.Durable(), fmt.Errorf("%w: %w", store.ErrFenced, f.err))
	}
}

// Err returns why the store takes no more submissions, nil if it does.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.refuse()
	if errors.Is(err, store.ErrOverloaded) {
		return nil
	}
	return err
}

// begin begins reading: it waits until what was submitted can be read. Unless
// there is an error, reading.Done must follow. When the disk is full, what was
// submitted may have to wait for space, and that is an error. Of a fenced store
// what it has can be read.
func (s *Store) begin() error {
	s.mu.Lock()
	upto := s.ticket
	for {
		switch {
		case s.closed:
			s.mu.Unlock()
			return store.ErrClosed
		case s.visible >= upto || s.failed.Load() != nil:
			s.reading.Add(1)
			s.mu.Unlock()
			return nil
		case s.fs.full():
			s.mu.Unlock()
			return store.ErrNoSpace
		}
		if s.readers == nil {
			s.readers = make(chan struct{})
			s.work.Signal()
		}
		wait := s.readers
		s.mu.Unlock()
		select {
		case <-wait:
		case <-s.fenced:
		}
		s.mu.Lock()
	}
}
