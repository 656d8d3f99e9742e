package bridge

import (
	"testing"
	"time"
)

// The pauses are constant without a Cap; else they are random between Base and a limit that doubles up to Cap.
func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		in   Backoff
		most []time.Duration
	}{
		{Backoff{Base: time.Second}, []time.Duration{time.Second, time.Second}},
		{Backoff{Base: time.Second, Cap: 7 * time.Second}, []time.Duration{2 * time.Second, 4 * time.Second, 7 * time.Second, 7 * time.Second}},
	} {
		b := New(Config{Restart: c.in}, nil, nil)
		seen := map[time.Duration]bool{}
		for range 50 {
			b.pause = 0
			for i, most := range c.most {
				got := b.backoff()
				if got < c.in.Base || got > most {
					t.Errorf("%v: pause %d is %v, want %v to %v", c.in, i, got, c.in.Base, most)
				}
				seen[got] = true
			}
		}
		if jitter := c.in.Cap > 0; jitter != (len(seen) > 10) {
			t.Errorf("%v: %d different pauses", c.in, len(seen))
		}
	}
}
