package timer

import (
	"context"
	"sync"
	"time"
)

const (
	// Tick is the precision in milliseconds: an owner is called at most so much
	// late, never early.
	Tick  = 100
	slots = 2048
)

// Owner is called when its deadline has come. It returns the next deadline in
// unix milliseconds, or 0 for none. It is called without a lock held, from the
// goroutine of Run, and should be quick.
type Owner interface{ Expire(now int64) (next int64) }

// Entry is an owner's place in a wheel. The zero value is in none. Its fields
// are guarded by the wheel's lock.
type Entry struct {
	at         int64
	owner      Owner
	next, prev *Entry
}

// Wheel holds entries by their deadlines.
type Wheel struct {
	now func() int64

	mu   sync.Mutex // guards all below and every entry in it
	ring [slots]Entry
	at   int64 // the tick that is handled next

	due []*Entry // of Advance, kept for reuse
}

// New returns a wheel on a clock of unix milliseconds that never goes back.
func New(now func() int64) *Wheel {
	w := &Wheel{now: now, at: now() / Tick}
	for i := range w.ring {
		w.ring[i].next, w.ring[i].prev = &w.ring[i], &w.ring[i]
	}
	return w
}

// Schedule puts e at the deadline at, in unix milliseconds, and takes it from
// where it was.
func (w *Wheel) Schedule(e *Entry, owner Owner, at int64) {
	w.mu.Lock()
	w.unlink(e)
	e.owner, e.at = owner, at
	w.link(e)
	w.mu.Unlock()
}

// Stop takes e out. A call of its owner may still be under way.
func (w *Wheel) Stop(e *Entry) {
	w.mu.Lock()
	w.unlink(e)
	e.owner = nil
	w.mu.Unlock()
}

func (w *Wheel) link(e *Entry) {
	tick := max((e.at+Tick-1)/Tick, w.at)
	head := &w.ring[tick%slots]
	e.next, e.prev = head, head.prev
	e.prev.next, head.prev = e, e
}

func (w *Wheel) unlink(e *Entry) {
	if e.next == nil {
		return
	}
	e.prev.next, e.next.prev = e.next, e.prev
	e.next, e.prev = nil, nil
}

// Run calls owners until ctx ends.
func (w *Wheel) Run(ctx context.Context) {
	t := time.NewTicker(Tick * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			w.Advance(w.now())
		}
	}
}

// Advance calls every owner whose deadline is not after now. Only one
// goroutine may call it.
func (w *Wheel) Advance(now int64) {
	for {
		w.mu.Lock()
		if w.at > now/Tick {
			w.mu.Unlock()
			return
		}
		w.take(now)
		w.at++
		w.mu.Unlock()
		for _, e := range w.due {
			w.call(e, now)
		}
		clear(w.due)
		w.due = w.due[:0]
	}
}

// take moves the due entries of the current slot to w.due.
func (w *Wheel) take(now int64) {
	head := &w.ring[w.at%slots]
	for e := head.next; e != head; {
		next := e.next
		if e.at <= now {
			w.unlink(e)
			w.due = append(w.due, e)
		}
		e = next
	}
}

// call asks the owner of e, unless it was stopped or scheduled again meanwhile.
func (w *Wheel) call(e *Entry, now int64) {
	w.mu.Lock()
	owner := e.owner
	again := e.next != nil
	w.mu.Unlock()
	if owner == nil || again {
		return
	}
	next := owner.Expire(now)
	if next == 0 {
		return
	}
	w.mu.Lock()
	if e.next == nil && e.owner == owner {
		e.at = next
		w.link(e)
	}
	w.mu.Unlock()
}
