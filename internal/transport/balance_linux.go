package transport

import (
	"sync/atomic"
	"syscall"
	"time"
)

// One loop that is busy half of the time costs less per message than two that
// are busy a quarter each: events come in larger batches, threads sleep and
// wake less often. So connections start on the first loop, spread when it gets
// busy, and come back when there is little to do. Only connections with input
// move; the others cost nothing where they are.

const (
	balanceEvery = 250 * time.Millisecond
	busyLoad     = 70   // per cent of the time: give work away
	calmLoad     = 45   // of two loops together: one is enough
	staleAfter   = 1000 // milliseconds after which a loop that says nothing is idle
)

// load is what a loop lets the others know.
type load struct {
	percent atomic.Int32
	since   atomic.Int64 // unix milliseconds
}

func (l *load) at(now int64) int {
	if now-l.since.Load() > staleAfter {
		return 0
	}
	return int(l.percent.Load())
}

// balance is how a loop measures itself. It belongs to the goroutine of the
// loop.
type balance struct {
	began  time.Duration // of the window
	awake  time.Duration // when the loop began to work, 0: it rests
	busy   time.Duration // in the window, until awake
	window uint16
	active int   // connections with input in the window
	target *loop // where to move connections
	moving int   // how many
}

// measure is called when a turn begins.
func (l *loop) measure(now time.Duration) {
	m := &l.balance
	if m.awake == 0 {
		m.awake = now
	}
	wall := now - m.began
	if wall < balanceEvery {
		return
	}
	busy := m.busy + now - m.awake
	l.load.percent.Store(int32(100 * busy / wall))
	l.load.since.Store(l.b.Now)
	l.plan(int(100 * busy / wall))
	m.began, m.awake, m.busy, m.active = now, now, 0, 0
	m.window++
}

// rest is called when the loop has nothing to do.
func (l *loop) rest() {
	m := &l.balance
	m.busy += l.s.clock.elapsed() - m.awake
	m.awake = 0
}

// plan decides how many of the active connections should move where.
func (l *loop) plan(own int) {
	m := &l.balance
	m.target, m.moving = nil, 0
	first := l.s.loops[0]
	if other := first.load.at(l.b.Now); l != first && own+other < calmLoad {
		m.target, m.moving = first, m.active
		return
	}
	if own < busyLoad {
		return
	}
	for _, other := range l.s.loops {
		least := own
		if m.target != nil {
			least = m.target.load.at(l.b.Now)
		}
		if other != l && other.load.at(l.b.Now) < least {
			m.target = other
		}
	}
	if m.target != nil {
		m.moving = m.active * (own - m.target.load.at(l.b.Now)) / (2 * own)
	}
}

// rebalance is called after input of c; it may give c to another loop.
func (l *loop) rebalance(c *Conn) {
	m := &l.balance
	if c.seen != m.window {
		c.seen = m.window
		m.active++
	}
	// Every second one: neighbours often belong together.
	if m.moving > 0 && (m.active&1 == 0 || m.target == l.s.loops[0]) && l.move(c, m.target) {
		m.moving--
	}
}

// move gives c to another loop, unless something is about to happen to it.
func (l *loop) move(c *Conn, to *loop) bool {
	if l.conns[c.slot] != c {
		return false
	}
	l.s.moves.RLock()
	defer l.s.moves.RUnlock()
	if l.hasOrders() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(closing|shaking|posted) != 0 || !to.claim() {
		return false
	}
	l.control(syscall.EPOLL_CTL_DEL, c.fd, 0, 0, 0)
	l.forget(c)
	c.flags &^= adopted
	l.unwatch(c)
	c.loop = to
	c.post(doMove)
	return true
}

// hasOrders says whether the loop is asked to close connections.
func (l *loop) hasOrders() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.orders) > 0
}

// pick returns the loop for a new connection: the first while it is calm.
func (s *Server) pick(now int64) *loop {
	best := s.loops[0]
	if best.load.at(now) < busyLoad {
		return best
	}
	for _, l := range s.loops[1:] {
		if l.load.at(now) < best.load.at(now) {
			best = l
		}
	}
	return best
}
