package hub

import (
	"slices"
	"sync"
	"sync/atomic"
)

// drops counts what was dropped for one client. Most clients never need it.
type drops [causes]atomic.Int64

// droppers are the clients that something was dropped for.
type droppers struct {
	mu   sync.Mutex
	list []*Client // guarded by mu
}

// dropped counts n messages that were dropped for the client. A member of a
// shared subscription that refuses a message loses nothing: another one may take
// it, so that deliverShared counts.
func (c *Client) dropped(l *Local, cause Cause, n int) {
	if n == 0 {
		return
	}
	l.Stats.Dropped[cause] += int64(n)
	if !l.sharing {
		c.countDropped(cause, n)
	}
}

func (c *Client) countDropped(cause Cause, n int) {
	d := c.drops.Load()
	if d == nil {
		d = new(drops)
		if c.drops.CompareAndSwap(nil, d) {
			c.hub.droppers.add(c)
		} else {
			d = c.drops.Load()
		}
	}
	d[cause].Add(int64(n))
}

func (d *droppers) add(c *Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, c)
}

// Drops is what was dropped for one client since its session began, by cause.
type Drops struct {
	Client  string
	Dropped [causes]int64
}

// Dropped is what was dropped for the client since its session began, by cause.
func (c *Client) Dropped() (all [causes]int64) {
	if d := c.drops.Load(); d != nil {
		for cause := range all {
			all[cause] = d[cause].Load()
		}
	}
	return all
}

// Drops lists the clients in the registry that something was dropped for.
func (h *Hub) Drops() []Drops {
	h.droppers.mu.Lock()
	defer h.droppers.mu.Unlock()
	h.droppers.list = slices.DeleteFunc(h.droppers.list, func(c *Client) bool { return h.Find(c.ID) != c })
	all := make([]Drops, len(h.droppers.list))
	for i, c := range h.droppers.list {
		all[i].Client, all[i].Dropped = c.ID, c.Dropped()
	}
	return all
}
