package disk

import (
	"testing"
	"time"
)

// TestTimes: a time is in the first bucket whose bound is not below it.
func TestTimes(t *testing.T) {
	var h Times
	for _, c := range []struct {
		took   time.Duration
		bucket int
	}{{0, 0}, {50 * time.Microsecond, 0}, {51 * time.Microsecond, 1}, {100 * time.Microsecond, 4}, {h.Bound(75), 75}} {
		was := h.Buckets[c.bucket]
		h.add(c.took)
		if h.Buckets[c.bucket] != was+1 {
			t.Errorf("%v is not in bucket %d: %v", c.took, c.bucket, h)
		}
	}
	h.add(h.Bound(75) + 1)
	if h.Longer != 1 || h.Count() != 6 {
		t.Errorf("%d too long of %d, want 1 of 6", h.Longer, h.Count())
	}
	if b := h.Bound(75); b < 15*time.Second || b > 30*time.Second {
		t.Errorf("the last bound is %v", b)
	}
}
