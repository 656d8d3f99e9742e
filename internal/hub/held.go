package hub

import (
	"context"
	"fmt"
	"sync"

	"github.com/nightjarmq/nightjar/internal/failpoint"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
)

// line is output of one client that waits for the disk, in order. bytes is what
// all marks cover together.
type line struct {
	bytes []byte
	marks []mark
}

// mark says up to where the bytes hang on a ticket.
type mark struct {
	ticket store.Ticket
	n      int // bytes
	acks   int // PUBACKs among them
}

// waiting are the clients with held output, in the order of their tickets.
type waiting struct {
	mu   sync.Mutex
	list []waiter // guarded by mu
}

type waiter struct {
	ticket store.Ticket
	client *Client
}

// emit sends out to the client as soon as the ticket is durable, behind all that
// waits already. It is the only way of packets that acknowledge something or
// carry QoS 1 and 2. acks is the number of PUBACKs in it. c.mu is held.
func (c *Client) emit(b *transport.Batch, t store.Ticket, out []byte, acks int) {
	if len(out) == 0 && acks == 0 {
		return
	}
	l := c.link.Load()
	if l == nil {
		return
	}
	if c.held == nil && (t == 0 || t <= c.hub.store.Durable()) {
		l.put(b, out)
		c.sess.Acked(acks)
		return
	}
	c.hold(b, t, out, acks)
}

func (c *Client) hold(b *transport.Batch, t store.Ticket, out []byte, acks int) {
	if c.held == nil {
		c.held = new(line)
	}
	h := c.held
	h.bytes = append(h.bytes, out...)
	if n := len(h.marks); n > 0 && h.marks[n-1].ticket >= t {
		h.marks[n-1].n += len(out)
		h.marks[n-1].acks += acks
		return
	}
	h.marks = append(h.marks, mark{t, len(out), acks})
	w := &c.hub.waiting
	w.mu.Lock()
	w.list = append(w.list, waiter{t, c})
	w.mu.Unlock()
	if now := c.hub.store.Durable(); now >= t { // it became durable before we stood in line
		c.release(b, now)
		if l := c.link.Load(); l != nil {
			l.Conn.WantDrain() // what waited for the held output looks again
		}
	}
}

// room is how many bytes may go to the connection before messages should rather
// wait in the queue. What waits for the disk takes room too.
func (c *Client) room(l *Link) int {
	if c.held == nil {
		return l.room()
	}
	return l.room() - len(c.held.bytes)
}

// release sends what hangs on tickets up to t. c.mu is held.
func (c *Client) release(b *transport.Batch, t store.Ticket) {
	h := c.held
	if h == nil {
		return
	}
	n, acks, i := 0, 0, 0
	for ; i < len(h.marks) && h.marks[i].ticket <= t; i++ {
		n += h.marks[i].n
		acks += h.marks[i].acks
	}
	failpoint.Reach("ack.before")
	if l := c.link.Load(); l != nil && n > 0 {
		l.put(b, h.bytes[:n])
		c.sess.Acked(acks)
	}
	h.bytes, h.marks = h.bytes[n:], h.marks[i:]
	if len(h.marks) == 0 {
		c.held = nil
	}
}

// onDurable is told by the store how far the disk has come.
func (h *Hub) onDurable(t store.Ticket, err error) {
	if err != nil {
		h.storeFailed(err)
		return
	}
	h.announce(nil)
	_ = h.owed.settle() // it is tried again
	due := h.waiting.take(t)
	if len(due) == 0 {
		return
	}
	h.with(func(b *transport.Batch) {
		for _, c := range due {
			c.mu.Lock()
			c.release(b, t)
			if c.sess != nil {
				c.pump(b, local(b))
			}
			c.mu.Unlock()
		}
	})
	failpoint.Reach("ack.after")
}

// take removes the clients that wait for tickets up to t.
func (w *waiting) take(t store.Ticket) []*Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	var due []*Client
	keep := w.list[:0]
	for _, e := range w.list {
		if e.ticket <= t {
			due = append(due, e.client)
		} else {
			keep = append(keep, e)
		}
	}
	clear(w.list[len(keep):])
	w.list = keep
	return due
}

// storeFailed: nothing that waits will ever be acknowledged, so the connections
// that wait are closed, and their clients will ask again.
func (h *Hub) storeFailed(err error) {
	h.announce(err)
	due := h.waiting.take(^store.Ticket(0))
	h.with(func(b *transport.Batch) {
		for _, c := range due {
			if l := c.link.Load(); l != nil {
				l.Conn.Close(fmt.Errorf("acknowledge to %q: %w", c.ID, err))
			}
		}
	})
}

// announce wakes those in WaitDurable. It takes their lock, so that nobody misses
// it between a look and the wait.
func (h *Hub) announce(err error) {
	h.risen.L.Lock()
	defer h.risen.L.Unlock()
	if err != nil {
		h.failed = err
	}
	h.risen.Broadcast()
}

// WaitDurable returns when the ticket is durable, or ctx ends.
func (h *Hub) WaitDurable(ctx context.Context, t store.Ticket) error {
	if t <= h.store.Durable() {
		return nil
	}
	stop := context.AfterFunc(ctx, h.risen.Broadcast)
	defer stop()
	h.risen.L.Lock()
	defer h.risen.L.Unlock()
	for h.failed == nil && h.store.Durable() < t && ctx.Err() == nil {
		h.risen.Wait()
	}
	if h.failed != nil {
		return h.failed
	}
	return ctx.Err()
}
