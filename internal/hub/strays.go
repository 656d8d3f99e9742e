package hub

import (
	"math"
	"sync"

	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/timer"
	"github.com/nightjarmq/nightjar/internal/transport"
)

// strays are messages of shared subscriptions whose session has ended, and that the
// store did not take for another member: their publisher has its acknowledgement, and
// nobody has them. They wait here, in order, and are offered again until the store
// takes something. A crash loses them, as it loses the sessions in memory that they
// come from. [MQTT-4.8.2-5]
type strays struct {
	hub   *Hub
	timer timer.Entry

	mu    sync.Mutex
	list  []stray // guarded by mu; only the wheel's goroutine takes from it
	bytes int     // of the list; guarded by mu
}

// stray is one of them.
type stray struct {
	session.Entry
	moved store.Done // as [Hub.passOn] takes it
}

// strayBytes is about what a stray takes beside its message.
const strayBytes = 128

func (s *stray) size() int { return s.Message.Size() + strayBytes }

// passOnOrKeep passes the messages on. Those that the store does not take become
// strays, or are dropped if there is no room.
func (h *Hub) passOnOrKeep(b *transport.Batch, list ...stray) {
	var refused error
	kept, dropped := 0, 0
	for i := range list {
		err := h.passOn(b, &list[i].Entry, list[i].moved)
		switch {
		case err == nil:
			continue
		case heals(err) && h.strays.keep(&list[i]):
			kept++
		default:
			dropped++
		}
		refused = err
	}
	if refused != nil {
		local(b).Stats.Dropped[StoreFailed] += int64(dropped)
		h.log.Error("what an ended session has left for others cannot be stored", "waits", kept, "dropped", dropped, "err", refused)
	}
}

// keep reports whether there was room for the message.
func (s *strays) keep(m *stray) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, budget := m.size(), s.hub.cfg.Budget
	if s.bytes+size > budget.Share(math.MaxInt) {
		return false
	}
	if len(s.list) == 0 {
		s.hub.timers.Schedule(&s.timer, s, s.hub.cfg.Now()+remainsRetry)
	}
	s.list = append(s.list, *m)
	s.bytes += size
	budget.Add(size)
	return true
}

// Expire offers a piece again.
func (s *strays) Expire(now int64) (next int64) {
	var err error
	s.hub.with(func(b *transport.Batch) { err = s.offer(b) })
	switch {
	case err != nil:
		return now + remainsRetry
	case s.len() > 0:
		return now + timer.Tick
	}
	return 0
}

func (s *strays) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

// offer passes on the first of the list, up to one that the store does not take. No
// lock is held meanwhile.
func (s *strays) offer(b *transport.Batch) (err error) {
	s.mu.Lock()
	piece := s.list[:min(len(s.list), remainsPiece)]
	s.mu.Unlock()
	n, bytes := 0, 0
	for ; n < len(piece); n++ {
		m := &piece[n]
		if err = s.hub.passOn(b, &m.Entry, m.moved); err != nil {
			break
		}
		bytes += m.size()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.list[:n])
	if s.list = s.list[n:]; len(s.list) == 0 {
		s.list = nil
	}
	s.bytes -= bytes
	s.hub.cfg.Budget.Add(-bytes)
	return err
}

// end offers all of them once more, before the broker ends, and says what is lost.
func (s *strays) end() {
	for err := error(nil); s.len() > 0; {
		s.hub.with(func(b *transport.Batch) { err = s.offer(b) })
		if err != nil {
			s.hub.log.Error("messages that ended sessions have left for others are lost", "messages", s.len(), "err", err)
			return
		}
	}
}
