package transport

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// crowd sends what one connection says to some others, which may be closing
// at that moment.
type crowd struct {
	t       testing.TB
	mu      sync.Mutex
	members map[*member]struct{}
	closed  int
}

type member struct {
	*crowd
	c    *Conn
	gone bool
}

func (w *crowd) join(c *Conn, _ *Batch) Handler {
	m := &member{crowd: w, c: c}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members[m] = struct{}{}
	return m
}

// some returns up to n members.
func (w *crowd) some(n int) (list []*member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for m := range w.members {
		if list = append(list, m); len(list) == n {
			break
		}
	}
	return list
}

func (m *member) Feed(b *Batch, data []byte) (int, error) {
	if m.gone {
		m.t.Error("fed after Closed")
	}
	for i, other := range m.some(10) {
		other.c.Send(b, data)
		switch {
		case i == 9 && rand.IntN(4) == 0:
			other.c.Close(errors.New("thrown out"))
		case rand.IntN(8) == 0:
			other.c.Pause()
			other.c.Resume()
			other.c.WantDrain()
		}
	}
	if rand.IntN(50) == 0 {
		return 0, errors.New("enough")
	}
	return rand.IntN(len(data) + 1), nil
}

func (m *member) Drained(b *Batch) { m.c.Send(b, []byte("room")) }

func (m *member) Closed(*Batch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		m.t.Error("closed twice")
	}
	m.gone = true
	m.closed++
	delete(m.members, m)
}

// TestChurn lets connections come, talk to each other and go in all the ways
// there are, at once. Descriptors are used again all the time: bytes in the
// wrong connection, calls after Closed or a leak would show.
func TestChurn(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			w := &crowd{t: t, members: map[*member]struct{}{}}
			r := start(t, k, Config{NewHandler: w.join, OutLimit: 20000}, ListenerConfig{})
			rounds := 60
			if k.tls {
				rounds = 10
			}
			var clients sync.WaitGroup
			for range 8 {
				clients.Go(func() {
					for range rounds {
						chat(t, r)
					}
				})
			}
			clients.Wait()
			eventually(t, "all go", func() bool { return r.ln.Connections() == 0 })
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.closed != 8*rounds || len(w.members) != 0 {
				t.Errorf("%d of %d closed, %d left", w.closed, 8*rounds, len(w.members))
			}
		})
	}
}

// chat is the life of one client.
func chat(t *testing.T, r *rig) {
	c := r.dial(t)
	defer c.Close()
	for range 1 + rand.IntN(10) {
		if _, err := c.Write(make([]byte, 1+rand.IntN(3000))); err != nil {
			return
		}
		if rand.IntN(2) == 0 {
			if _, err := c.Read(make([]byte, 4000)); err != nil {
				return
			}
		}
	}
	if tc, ok := c.(*net.TCPConn); ok && rand.IntN(3) == 0 {
		tc.SetLinger(0) // leave with a reset
	}
}
