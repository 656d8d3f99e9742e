package store

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/internal/message"
)

// Memory is the store that keeps everything in memory. A submission is durable,
// for as long as the process lives, when Submit returns. It makes the state
// that every other store must make of the same records.
type Memory struct {
	durable atomic.Uint64 // the last ticket; written under mu

	mu          sync.Mutex // guards all below; never held over a callback
	closed      bool
	lastSession SessionID
	lastSeq     Seq
	sessions    map[SessionID]*session
	retained    map[string]*message.Message
	stats       Stats
	loose       [][]entry // of sessions removed by the submission at hand
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		sessions: make(map[SessionID]*session),
		retained: make(map[string]*message.Message),
	}
}

var _ Store = (*Memory)(nil)

// NewSession implements [Store].
func (m *Memory) NewSession() SessionID {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastSession++
	return m.lastSession
}

// SubmitLater implements [Store]; it is Submit.
func (m *Memory) SubmitLater(recs ...Record) (Ticket, error) { return m.Submit(recs...) }

// Refusal implements [Store].
func (m *Memory) Refusal() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	return nil
}

// Submit implements [Store]. The only error is [ErrClosed].
func (m *Memory) Submit(recs ...Record) (Ticket, error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return 0, ErrClosed
	}
	for _, r := range recs {
		if p, ok := r.(*Published); ok {
			m.lastSeq++
			p.Seq = m.lastSeq
		}
		m.apply(r)
	}
	t := m.durable.Add(1)
	loose := m.loose
	m.loose = nil
	m.mu.Unlock()
	m.release(loose)
	return Ticket(t), nil
}

// release counts the messages of removed sessions out, a chunk at a time, so
// that the end of a long queue does not hold up everybody else.
func (m *Memory) release(loose [][]entry) {
	for _, c := range loose {
		m.mu.Lock()
		for i := range c {
			m.forget(&c[i])
		}
		m.mu.Unlock()
	}
}

// Durable implements [Store].
func (m *Memory) Durable() Ticket { return Ticket(m.durable.Load()) }

// OnDurable implements [Store]. f is never called: whoever asks [Memory.Durable]
// after Submit is told at once.
func (m *Memory) OnDurable(func(t Ticket, err error)) {}

// Sessions implements [Store].
func (m *Memory) Sessions(yield func(*SessionInfo) bool) error {
	ids, err := m.sessionIDs()
	if err != nil {
		return err
	}
	for _, id := range ids {
		m.mu.Lock()
		s := m.sessions[id]
		if s == nil { // removed meanwhile
			m.mu.Unlock()
			continue
		}
		info := s.info()
		m.mu.Unlock()
		if !yield(info) {
			return nil
		}
	}
	return nil
}

func (m *Memory) sessionIDs() ([]SessionID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	ids := make([]SessionID, 0, len(m.sessions))
	for id := range m.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

// Retained implements [Store].
func (m *Memory) Retained(yield func(*message.Message) bool) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	all := make([]*message.Message, 0, len(m.retained))
	for _, msg := range m.retained {
		all = append(all, msg)
	}
	m.mu.Unlock()
	for _, msg := range all {
		if !yield(msg) {
			return nil
		}
	}
	return nil
}

// Resume implements [Store].
func (m *Memory) Resume(id SessionID) (*Resumption, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	r := &Resumption{Last: m.lastSeq}
	if s := m.sessions[id]; s != nil {
		r.Incoming = slices.Clone(s.incoming.ids)
		r.Inflight = s.inflight.appendAfter(make([]Entry, 0, s.inflight.n), 0, s.inflight.n)
		r.Queued, r.Bytes = s.waiting.n, s.waitingBytes
	}
	return r, nil
}

// Queue implements [Store].
func (m *Memory) Queue(dst []Entry, id SessionID, after Seq, max int) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return dst, ErrClosed
	}
	if s := m.sessions[id]; s != nil {
		dst = s.waiting.appendAfter(dst, after, max)
	}
	return dst, nil
}

// Waiting implements [Store].
func (m *Memory) Waiting(dst []Waiting, id SessionID, after Seq, max int) []Waiting {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sessions[id]; s != nil {
		s.waiting.behind(after, max, func(e *entry) {
			dst = append(dst, Waiting{Seq: e.seq, Size: int(e.size), Expires: e.msg.Expires})
		})
	}
	return dst
}

// Stats implements [Store].
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stats
}

// Close implements [Store]. What the store held is lost.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
