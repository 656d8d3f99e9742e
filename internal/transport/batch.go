package transport

import "time"

// Batch gathers the connections that were sent to while one batch of input was
// handled. One goroutine at a time uses it: each event loop owns one, everybody
// else borrows one from Server.Batch.
type Batch struct {
	// Now is the time in unix milliseconds at which the batch began, from a
	// clock that never jumps.
	Now int64
	// Local belongs to the layer above; it stays with the batch.
	Local any

	s       *Server
	touched []*Conn
	pending int // bytes appended since the last Flush
	stash   stash
	memory  []byte // see scratch
	cipher  []byte // see raw
}

// flushBytes is how much a batch gathers before the engine flushes in the
// middle of it: more than this no longer fits the second-level cache.
const flushBytes = 128 << 10

// Flush writes once to every connection that was sent to. It never blocks: what
// a socket does not take leaves when the socket becomes writable.
func (b *Batch) Flush() {
	for i := 0; i < len(b.touched); i++ {
		c := b.touched[i]
		b.touched[i] = nil
		c.flush(b)
	}
	b.touched = b.touched[:0]
	b.pending = 0
	if cap(b.touched) > 1<<16 {
		b.touched = nil
	}
}

// scratch is where input is read to and decoded in place.
func (b *Batch) scratch() []byte {
	if b.memory == nil {
		b.memory = make([]byte, b.s.cfg.ReadBuffer)
	}
	return b.memory
}

// raw is where ciphertext is read to.
func (b *Batch) raw() []byte {
	if b.cipher == nil {
		b.cipher = make([]byte, b.s.cfg.ReadBuffer)
	}
	return b.cipher
}

func (s *Server) newBatch() *Batch {
	b := &Batch{s: s, stash: stash{shared: &s.pools}}
	if s.cfg.NewLocal != nil {
		b.Local = s.cfg.NewLocal()
	}
	return b
}

// Batch lends a batch to a caller outside of a handler. Give it back with
// ReleaseBatch.
func (s *Server) Batch() *Batch {
	s.batchMu.Lock()
	var b *Batch
	if n := len(s.batches); n > 0 {
		b = s.batches[n-1]
		s.batches = s.batches[:n-1]
	}
	s.batchMu.Unlock()
	if b == nil {
		b = s.newBatch()
	}
	b.Now = s.clock.now()
	return b
}

// ReleaseBatch flushes b and takes it back.
func (s *Server) ReleaseBatch(b *Batch) {
	b.Flush()
	s.batchMu.Lock()
	s.batches = append(s.batches, b)
	s.batchMu.Unlock()
}

// clock counts unix milliseconds from one reading of the wall clock, so that
// it never jumps.
type clock struct {
	start time.Time
	base  int64
}

func newClock(now func() time.Time) clock {
	return clock{start: time.Now(), base: now().UnixMilli()}
}

func (k *clock) now() int64 { return k.at(k.elapsed()) }

// elapsed is the time since the clock was made, at its unix milliseconds.
func (k *clock) elapsed() time.Duration         { return time.Since(k.start) }
func (k *clock) at(elapsed time.Duration) int64 { return k.base + elapsed.Milliseconds() }
