package access

import (
	"sync"
	"time"
)

// few limits what is logged about one client: a few lines, then one a second with
// the number of those that were left out.
type few struct {
	mu      sync.Mutex
	clients map[string]*told // guarded by mu; at most maxTold
}

type told struct {
	lines float64 // that may be written now
	at    time.Time
	left  int // not logged since the last line
}

const (
	maxTold   = 4096
	firstFew  = 5
	perSecond = 1
)

// next reports whether a line may be logged, and how many were left out before it.
func (f *few) next(client string) (left int, ok bool) { return f.nextAt(client, time.Now()) }

func (f *few) nextAt(client string, now time.Time) (left int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.clients[client]
	if t == nil {
		if f.clients == nil || len(f.clients) >= maxTold {
			f.clients = make(map[string]*told) // all begin again: better a few lines too many
		}
		t = &told{lines: firstFew, at: now}
		f.clients[client] = t
	}
	t.lines = min(t.lines+perSecond*now.Sub(t.at).Seconds(), firstFew)
	t.at = now
	if t.lines < 1 {
		t.left++
		return 0, false
	}
	left, t.left = t.left, 0
	t.lines--
	return left, true
}
