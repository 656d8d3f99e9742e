package auth

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/nightjarmq/nightjar/internal/ration"
)

// failures remembers who gave wrong passwords lately, by address and by user,
// and how long who comes next must wait. It is of a fixed size: a newcomer takes
// the place of one that shares it and has failed less.
type failures struct {
	once  sync.Once
	seed  maphash.Seed
	mu    sync.Mutex
	slots []slot // guarded by mu
}

type slot struct {
	key   uint64
	count float64   // failures, halved every half-life
	at    time.Time // of count
}

const (
	slots     = 8192
	halfLife  = time.Minute
	firstWait = 100 * time.Millisecond
	mostWait  = 4 * time.Second // less than a client has to connect

	freeByUser = 5  // failures of a user that cost nothing
	freeByAddr = 20 // of an address, which many devices may share
)

func (f *failures) key(kind byte, s string) uint64 {
	f.once.Do(func() {
		f.seed = maphash.MakeSeed()
		f.slots = make([]slot, slots)
	})
	var h maphash.Hash
	h.SetSeed(f.seed)
	h.WriteByte(kind)
	h.WriteString(s)
	return h.Sum64()
}

// wait blocks who failed too often.
func (f *failures) wait(ctx context.Context, addr, user string) error {
	now := time.Now()
	d := f.delay('u', user, freeByUser, now)
	if p := ration.Place(addr); p != "" {
		d = max(d, f.delay('a', p, freeByAddr, now))
	}
	if d == 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait after failed attempts: %w", ctx.Err())
	}
}

// delay doubles with every failure that is not free.
func (f *failures) delay(kind byte, s string, free float64, now time.Time) time.Duration {
	n := f.count(f.key(kind, s), now) - free
	if n < 0 {
		return 0
	}
	return min(firstWait<<min(uint(n), 16), mostWait)
}

func (f *failures) count(key uint64, now time.Time) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := &f.slots[key%slots]; s.key == key {
		return s.now(now)
	}
	return 0
}

// now is the count with its decay.
func (s *slot) now(t time.Time) float64 {
	n := s.count
	for d := t.Sub(s.at); d >= halfLife && n > 0.5; d -= halfLife {
		n /= 2
	}
	if n <= 0.5 {
		return 0
	}
	return n
}

// failed counts a failure. Both counts stop where waiting no longer grows.
func (f *failures) failed(addr, user string) {
	now := time.Now()
	f.add(f.key('u', user), freeByUser+8, now)
	if p := ration.Place(addr); p != "" {
		f.add(f.key('a', p), freeByAddr+8, now)
	}
}

func (f *failures) add(key uint64, most float64, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.slots[key%slots]
	n := s.now(now)
	if s.key != key {
		if n > 1 { // the other one has failed more
			s.count, s.at = n-1, now
			return
		}
		n = 0
	}
	*s = slot{key, min(n+1, most), now}
}

// passed forgets the failures of a user, not those of an address: who has one
// account would otherwise guess the others' passwords at full speed.
func (f *failures) passed(user string) {
	key := f.key('u', user)
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := &f.slots[key%slots]; s.key == key {
		*s = slot{}
	}
}
